/** How long a condition may take; generous, since a loaded machine is slow and nothing waits longer than it must. */
export const DEADLINE_MS = 30_000;

/** Waits until `condition` gives something truthy, and gives that. Fails after the deadline, saying what was awaited. */
export async function until(condition, what, deadlineMs = DEADLINE_MS) {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The next event of a name that fits; fails after the deadline. */
export function nextEvent(emitter, name, fits = () => true, deadlineMs = DEADLINE_MS) {
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      emitter.off(name, listener);
    };
    const listener = (payload) => {
      if (!fits(payload)) return;
      done();
      resolve(payload);
    };
    const timer = setTimeout(() => {
      done();
      reject(new Error(`no fitting "${name}" within ${deadlineMs} ms`));
    }, deadlineMs);
    emitter.on(name, listener);
  });
}
