// Runs at the end of `npm install`: builds the native addon from source when there is none.
import { buildNative, hasPrebuilt, isFresh } from './native.mjs';

if (!hasPrebuilt() && !isFresh()) {
  console.error('@mind-git/mqtt-p2p: building the native addon from source; this takes some minutes.');
  try {
    buildNative('release');
  } catch (error) {
    console.error(`@mind-git/mqtt-p2p: ${error.message}`);
    process.exitCode = 1;
  }
}
