import { conformance } from './conformance.mjs';

conformance('embedded');
