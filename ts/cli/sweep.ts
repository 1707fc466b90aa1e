import type { MQTTIntegrationConfig } from '../index.js';
import { Tap } from '../tap.js';

/** How long the broker may say nothing before all that it keeps has been heard. */
const QUIET_MS = 200;
const MAX_MS = 1500;

/** Takes away everything that the broker keeps below a topic prefix of our own. Best effort: it must not keep anybody waiting. */
export async function sweep(config: MQTTIntegrationConfig): Promise<void> {
  let tap: Tap | undefined;
  await new Promise<void>((done) => {
    let quiet = setTimeout(done, MAX_MS);
    setTimeout(done, MAX_MS).unref();
    const later = () => {
      clearTimeout(quiet);
      quiet = setTimeout(done, QUIET_MS);
    };
    tap = new Tap(config, {
      listening: later,
      packet: ({ topic, retained }) => {
        if (retained) tap?.clear(topic);
        later();
      },
      refused: () => done(),
      away: () => done(),
    });
  });
  await tap?.stop();
}
