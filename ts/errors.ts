import type { ErrorCode } from '../index.js';

/** Every error of this package. */
export class MqttP2pError extends Error {
  readonly code: ErrorCode;
  declare readonly path?: string;
  declare readonly line?: number;
  declare readonly column?: number;

  constructor(code: ErrorCode, message: string, place: Place = {}) {
    super(message);
    this.name = 'MqttP2pError';
    this.code = code;
    Object.assign(this, place);
  }
}

/** Where in which file. */
export interface Place {
  path?: string;
  line?: number;
  column?: number;
}

/** Codes with which the binding reports an argument of a wrong JavaScript type, such as `StringExpected`. */
const WRONG_TYPE = /^(InvalidArg|.*Expected)$/;

/** What the native side threw or reported, as the error that applications see. */
export function publicError(cause: unknown): Error {
  const { code, message } = cause as { code?: unknown; message?: unknown };
  if (typeof code !== 'string') return cause instanceof Error ? cause : new Error(String(cause));
  if (code.startsWith('ERR_')) return new MqttP2pError(code as ErrorCode, String(message));
  // The same error that Node's own functions give.
  if (WRONG_TYPE.test(code)) return Object.assign(new TypeError(String(message)), { code: 'ERR_INVALID_ARG_TYPE' });
  return cause instanceof Error ? cause : new Error(String(message));
}

/** JSON text of something an application passed, or the given code when there is none (cycles, BigInt). */
export function toJson(value: unknown, code: ErrorCode, what: string): string {
  try {
    // `undefined` and functions have no JSON; `null` lets the native side say what it expected.
    return JSON.stringify(value) ?? 'null';
  } catch (cause) {
    throw new MqttP2pError(code, `${what} cannot be written as JSON: ${(cause as Error).message}`);
  }
}
