/** Loads the addon before anything else asks for it, and says what to do where there is none. */
try {
  require('../binding.js');
} catch (cause) {
  throw new Error(advice(cause), { cause });
}

/** What the generated loader says is about a mistake of npm's that is seldom the reason. */
function advice(cause: unknown): string {
  const platform = platformName();
  // The loader chains what it tried, the newest first. What is not there is one thing, what does not load another.
  const broken = messages(cause).filter((message) => !/^Cannot find (module|native binding)/.test(message));
  const lead =
    broken.length > 0
      ? `The native addon of @mind-git/mqtt-p2p cannot be loaded: ${broken.at(-1)}`
      : `@mind-git/mqtt-p2p has no native addon for ${platform} here: the package @mind-git/mqtt-p2p-${platform} is not installed, and none was built.`;
  return `${lead}
To build it, install Rust (https://rustup.rs) and a C compiler, then run
    npm rebuild @mind-git/mqtt-p2p     in an application (without --ignore-scripts)
    npm run build                      in a clone`;
}

/** The platform as names of addons have it. */
function platformName(): string {
  const { platform, arch } = process;
  if (platform === 'win32') return `win32-${arch}-msvc`;
  if (platform !== 'linux') return `${platform}-${arch}`;
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return `linux-${arch}-${header.glibcVersionRuntime ? 'gnu' : 'musl'}`;
}

function messages(error: unknown): string[] {
  return error instanceof Error ? [error.message, ...messages(error.cause)] : [];
}
