import { setMaxListeners } from 'node:events';
import { MQTTIntegrationService } from '../index.js';
import { note } from './output.js';
import type { Settings } from './settings.js';

/** Time for a clean goodbye after Ctrl-C. */
const GOODBYE_MS = 2000;
const INTERRUPTED = 130;

/**
 * Runs `work` until it is done or Ctrl-C is pressed, then `cleanUp`. After Ctrl-C that may take two seconds, then the
 * process ends all the same; a second Ctrl-C ends it at once.
 */
export async function interruptible(
  work: (interrupted: AbortSignal) => Promise<void>,
  cleanUp: () => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  // Everything that waits listens; each takes its listener away again.
  setMaxListeners(0, controller.signal);
  const aborted = new Promise<void>((resolve) => {
    controller.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const stop = () => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    controller.abort();
    setTimeout(() => process.exit(), GOODBYE_MS).unref();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    await Promise.race([work(controller.signal), aborted]);
  } finally {
    await cleanUp();
    // Whatever `work` still waits for is of no interest any more.
    if (controller.signal.aborted) process.exit();
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

/** Runs `work` with a connected service, and disconnects afterwards. */
export async function withService(
  { config }: Settings,
  work: (service: MQTTIntegrationService, interrupted: AbortSignal) => Promise<void>,
): Promise<void> {
  const service = new MQTTIntegrationService(config);
  service.on('error', (error) => note(`! ${error.code}: ${error.message}`));
  await interruptible(
    async (interrupted) => {
      await service.initialize();
      await work(service, interrupted);
    },
    () => service.disconnect(),
  );
}

/** Resolves after a time, or when interrupted. */
export function pause(ms: number, interrupted: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      clearTimeout(timer);
      interrupted.removeEventListener('abort', stop);
      resolve();
    };
    const timer = setTimeout(stop, interrupted.aborted ? 0 : ms);
    interrupted.addEventListener('abort', stop);
  });
}

/** Never resolves: the process runs until interrupted. */
export function forever(): Promise<void> {
  return new Promise(() => {});
}
