/**
 * Does something that takes a while, with a spinner on standard error that says what. Nothing is shown where that is no
 * terminal, and nothing of what a spinner needs is loaded.
 */
export async function working<T>(what: string, work: (progress: (text: string) => void) => Promise<T>): Promise<T> {
  if (!process.stderr.isTTY) return work(() => {});
  const { default: ora } = await import('ora');
  // It must not catch Ctrl-C, which disconnects.
  const color = process.env.NO_COLOR ? false : 'cyan';
  const spinner = ora({ text: what, color, discardStdin: false, stream: process.stderr }).start();
  try {
    return await work((text) => {
      spinner.text = text;
    });
  } finally {
    spinner.stop();
  }
}
