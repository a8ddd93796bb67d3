/** What goes wrong between this server and etcd, and what an operator can do about it. */
import { isObject, type JsonObject } from '../runtime/unknown.ts';

/**
 * Why a call failed:
 *  - `unavailable`: no member answered in time, or none could carry it out now. It may take effect;
 *  - `full`: over quota, nothing can be stored;
 *  - `refused`: a retry won't change it. The message says what to do.
 */
export type EtcdFailure = 'unavailable' | 'full' | 'refused';

export class EtcdError extends Error {
  override readonly name = 'EtcdError';
  readonly failure: EtcdFailure;

  constructor(failure: EtcdFailure, message: string) {
    super(message);
    this.failure = failure;
  }
}

/** The codes of gRPC after which another member, or the same one later, may answer. */
const UNAVAILABLE_CODES: ReadonlySet<number> = new Set([1, 2, 4, 10, 13, 14]);
const EXHAUSTED = 8;
const UNAUTHENTICATED = 16;
const PERMISSION_DENIED = 7;

/** What etcd says, with other codes, when a request has no token or one of an older state. */
const NEEDS_TOKEN = /invalid auth token|user name is empty|revision of auth store is old/;

/** Of one member, over HTTP. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** @param value the answer as JSON; undefined if it is none */
export function failureOf(
  member: URL,
  { status, text }: Answer,
  value: JsonObject | undefined,
): EtcdError | 'needs token' {
  const { code, message } = errorIn(value, text);
  if (code === UNAUTHENTICATED || NEEDS_TOKEN.test(message)) return 'needs token';
  if (code === EXHAUSTED || status === 429) {
    const isFull = /space exceeded/.test(message);
    return new EtcdError(isFull ? 'full' : 'unavailable', message);
  }
  if (code === undefined ? status >= 500 : UNAVAILABLE_CODES.has(code)) {
    return new EtcdError('unavailable', message);
  }
  const where = `etcd at ${member.host}`;
  if (code === undefined) {
    const cure = 'set --etcd to the client addresses of an etcd 3.4 or later';
    return new EtcdError('refused', `${where} answered HTTP ${status} (${message}): ${cure}`);
  }
  let cure = '';
  if (code === PERMISSION_DENIED) {
    cure = ': give the user the permission to read and write all keys under --etcd-prefix';
  } else if (/invalid user ID or password/.test(message)) {
    cure = ': correct --etcd-user-file, or the user in etcd';
  }
  return new EtcdError('refused', `${where} refused a request (${message})${cure}`);
}

/** Characters of an answer that is no JSON, in a message. */
const SHOWN_LENGTH = 100;

function errorIn(
  value: JsonObject | undefined,
  text: string,
): { readonly code: number | undefined; readonly message: string } {
  // In a stream the error is an object with other names.
  const inner = isObject(value?.error) ? value.error : value;
  const code = inner?.code ?? inner?.grpc_code;
  const message = inner?.message ?? inner?.error;
  return {
    code: typeof code === 'number' ? code : undefined,
    message: typeof message === 'string' ? message : text.trim().slice(0, SHOWN_LENGTH),
  };
}

/** What a failed connection may be cured by, as the end of a sentence. */
export function cureOf({ code, message }: NodeJS.ErrnoException, isTls: boolean): string {
  if (code !== undefined && UNKNOWN_ISSUER.has(code)) return '; set --etcd-ca to the CA of etcd';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return '; use a name of that certificate in --etcd';
  if (!isTls) return code === 'ECONNRESET' ? '; if etcd speaks TLS, write https:// in --etcd' : '';
  const isNoTls = /before secure TLS connection|wrong version number|packet length/.test(message);
  return isNoTls ? '; if etcd speaks no TLS, write http:// in --etcd' : '';
}

const UNKNOWN_ISSUER: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);
