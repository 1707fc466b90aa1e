import { conformance } from './conformance.mjs';

conformance('RabbitMQ');
