import { conformance } from './conformance.mjs';

conformance('NATS');
