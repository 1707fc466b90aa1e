import { startNode } from './processes.mjs';
import { until } from './wait.mjs';

/**
 * A running `mqtt-p2p watch --json` of folders, each under the name `team` unless names are given: the child, with
 * `events()`, what it has said so far. Storage is where `--data-dir` in `args` leads, else none.
 */
export function startWatch(t, broker, folders, args = []) {
  const names = args.includes('--name') || folders.length > 1 ? [] : ['--name', 'team'];
  const storage = args.includes('--data-dir') ? [] : ['--memory'];
  const url = `mqtt://${broker.host}:${broker.port}`;
  const paths = folders.map(({ path }) => path);
  const quick = ['--json', '--broker', url, '--debounce', '10', '--author', 'ada'];
  const child = startNode(t, ['dist/mqtt-cli.js', 'watch', ...paths, ...quick, ...names, ...storage, ...args]);
  const events = () =>
    child
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line));
  const said = (name, wanted = () => true) => events().find((event) => event.event === name && wanted(event));
  const untilSaid = (name, wanted) =>
    until(() => said(name, wanted), `"${name}" is said`).catch((error) => {
      throw new Error(`${error.message}; it said: ${child.output()}`);
    });
  return Object.assign(child, { events, untilSaid });
}

/** The same, with all files taken in. */
export async function watching(t, broker, folders, args) {
  const child = startWatch(t, broker, folders, args);
  await child.untilSaid('files-ready');
  return child;
}
