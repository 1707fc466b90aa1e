import { Argument, Command, type Option } from 'commander';
import { print } from './output.js';
import { UsageError } from './settings.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** Options whose values are files, or folders. */
const PATHS = /<(file|path)>/;

/** `mqtt-p2p completion bash|zsh|fish`: a script for that shell, made from the commands as they are. */
export function completion(): Command {
  return new Command('completion')
    .description('print a script that completes commands and options in a shell')
    .addArgument(new Argument('<shell>').choices([...SHELLS]))
    .addHelpText('after', EXAMPLES)
    .action((shell: Shell, _options: object, command: Command) => {
      const program = command.parent;
      if (!program) throw new UsageError('completion is a command of mqtt-p2p');
      print(SCRIPTS[shell](described(program)));
    });
}

const EXAMPLES = `
Examples:
  mqtt-p2p completion bash > ~/.local/share/bash-completion/completions/mqtt-p2p
  mqtt-p2p completion zsh > "\${fpath[1]}/_mqtt-p2p"
  mqtt-p2p completion fish > ~/.config/fish/completions/mqtt-p2p.fish`;

interface Described {
  name: string;
  what: string;
  options: { long: string; what: string; takes: 'nothing' | 'path' | 'value' }[];
  /** Its parts, or what its first argument may be; files where that is not known. */
  choices: string[];
}

function described(program: Command): Described[] {
  return program.commands.map((command) => {
    const parts = command.commands.filter((part) => part.name() !== 'help');
    const options = [command, ...parts].flatMap(({ options }) => options.filter(({ hidden }) => !hidden).map(option));
    return {
      name: command.name(),
      what: command.summary() || command.description(),
      options: [...new Map([...options, HELP].map((one) => [one.long, one])).values()],
      choices: parts.length > 0 ? parts.map((part) => part.name()) : (command.registeredArguments[0]?.argChoices ?? []),
    };
  });
}

const HELP = { long: '--help', what: 'display help', takes: 'nothing' } as const;

function option({ long, description, flags, required, optional }: Option): Described['options'][number] {
  const takes = required || optional ? (PATHS.test(flags) ? 'path' : 'value') : 'nothing';
  return { long: long ?? flags, what: description, takes };
}

const SCRIPTS: Record<Shell, (commands: Described[]) => string> = { bash, zsh, fish };

function bash(commands: Described[]): string {
  const cases = commands.map(({ name, options, choices }) => {
    const words = [...choices, ...options.map(({ long }) => long)].join(' ');
    return `    ${name}) words='${words}' ;;`;
  });
  const paths = [...new Set(commands.flatMap(({ options }) => options.filter(({ takes }) => takes === 'path')))];
  const values = [...new Set(commands.flatMap(({ options }) => options.filter(({ takes }) => takes === 'value')))];
  const names = (options: Described['options']) => [...new Set(options.map(({ long }) => long))].join('|');
  return `# bash completion of mqtt-p2p
_mqtt_p2p() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} words
  case $before in
    ${names(paths)}) COMPREPLY=($(compgen -f -- "$word")); return ;;
    ${names(values)}) COMPREPLY=(); return ;;
  esac
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${commands.map(({ name }) => name).join(' ')} help --help --version' -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
    *) return ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [[ $word == -* ]] || COMPREPLY+=($(compgen -f -- "$word"))
}
complete -o filenames -F _mqtt_p2p mqtt-p2p`;
}

function zsh(commands: Described[]): string {
  const quoted = (text: string) =>
    text.replaceAll("'", "'\\''").replaceAll('[', '(').replaceAll(']', ')').replaceAll(':', '\\:');
  const names = commands.map(({ name, what }) => `    '${name}:${quoted(what)}'`);
  const cases = commands.map(({ name, options, choices }) => {
    const specs = options.map(({ long, what, takes }) => {
      const value = takes === 'nothing' ? '' : takes === 'path' ? ':path:_files' : ':value: ';
      return `'${long}[${quoted(what)}]${value}'`;
    });
    const rest = choices.length > 0 ? `'1:choice:(${choices.join(' ')})'` : "'*:file:_files'";
    return `    ${name}) _arguments ${[...specs, rest].join(' ')} ;;`;
  });
  return `#compdef mqtt-p2p
_mqtt_p2p() {
  local -a commands=(
${names.join('\n')}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${cases.join('\n')}
  esac
}
_mqtt_p2p "$@"`;
}

function fish(commands: Described[]): string {
  const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = commands.flatMap(({ name, what, options, choices }) => {
    const within = `complete -c mqtt-p2p -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c mqtt-p2p -n __fish_use_subcommand -f -a ${name} -d ${quoted(what)}`,
      ...choices.map((choice) => `${within} -f -a ${choice}`),
      ...options.map(({ long, what, takes }) => {
        const value = takes === 'nothing' ? '' : takes === 'path' ? ' -r -F' : ' -x';
        return `${within} -l ${long.replace(/^--/, '')}${value} -d ${quoted(what)}`;
      }),
    ];
  });
  return ['# fish completion of mqtt-p2p', ...lines].join('\n');
}
