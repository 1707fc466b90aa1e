import { conformance } from './conformance.mjs';

conformance('Mosquitto');
