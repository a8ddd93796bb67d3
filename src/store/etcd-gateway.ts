/**
 * Speaks to etcd through its HTTP/JSON gateway (`/v3/...`), which every etcd since 3.4 serves on its
 * client addresses.
 *
 * A call is one round over all members, beginning with the one that answered last; each has a short
 * time to answer. etcd itself would wait for seconds without a leader, and longer for a member that
 * has stopped. So after a failure it is unknown whether the call took effect, and a call may take
 * effect twice, or later: whatever is sent must bear that (see etcd-store.ts).
 *
 * What is peculiar about the gateway, and handled here and by `int64`:
 *  - 64-bit integers are strings, and fields that are zero, false or empty are left out;
 *  - streams wrap their answers in `result` or `error`;
 *  - errors are JSON with the code of gRPC, but some have plain text;
 *  - a token may become invalid at any time: etcd forgets simple tokens that are idle for minutes.
 */
import { Buffer } from 'node:buffer';
import {
  Agent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { request as httpsRequest, Agent as TlsAgent } from 'node:https';
import { isObject, type JsonObject } from '../runtime/unknown.ts';

export interface EtcdUser {
  readonly name: string;
  readonly password: string;
}

export interface EtcdOptions {
  /** Client addresses of one or more members, `http:` or `https:`. */
  readonly members: readonly URL[];
  /** PEM: CA certificates to trust instead of the system's. */
  readonly ca?: string | undefined;
  /** PEM: the client's certificate and its key. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly user?: EtcdUser | undefined;
  /** Milliseconds that a member has to answer. Default 400. */
  readonly tryMs?: number;
}

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

const DEFAULT_TRY_MS = 400;

/** Checking a password takes a tenth of a second, several at a time take longer. */
const AUTHENTICATE_MS = 5000;

/** Bytes of an answer, at most: a page of records is far smaller. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

/** The codes of gRPC after which another member, or the same one later, may answer. */
const UNAVAILABLE_CODES: ReadonlySet<number> = new Set([1, 2, 4, 10, 13, 14]);
const EXHAUSTED = 8;
const UNAUTHENTICATED = 16;
const PERMISSION_DENIED = 7;

/** What etcd says, with other codes, when a request has no token or one of an older state. */
const NEEDS_TOKEN = /invalid auth token|user name is empty|revision of auth store is old/;

interface Answer {
  readonly status: number;
  readonly text: string;
}

export class EtcdGateway {
  readonly #options: EtcdOptions;
  readonly #agents: { readonly http: Agent; readonly https: TlsAgent };
  /** The member that is asked first. */
  #index = 0;
  /** Empty if etcd does without tokens, undefined if one must be got. */
  #token: string | undefined;
  #isClosed = false;
  /** Whether any member has ever answered: then it is not the options that are wrong. */
  #hasAnswered = false;

  constructor(options: EtcdOptions) {
    if (options.members.length === 0) throw new RangeError('etcd needs at least one address');
    this.#options = options;
    const { ca, cert, key } = options;
    const agentOptions = { keepAlive: true, maxSockets: 8 };
    this.#agents = {
      http: new Agent(agentOptions),
      https: new TlsAgent({ ...agentOptions, ca, cert, key }),
    };
  }

  get members(): readonly URL[] {
    return this.#options.members;
  }

  /**
   * Sends one request, to each member in turn until one answers. Rejects with an `EtcdError`.
   *
   * @param path such as `/v3/kv/range`
   * @param tryMs milliseconds that each member has to answer; by default as in the options
   */
  async call(path: string, body: object, tryMs?: number): Promise<JsonObject> {
    const text = JSON.stringify(body);
    const { members, tryMs: usualMs = DEFAULT_TRY_MS } = this.#options;
    const failures: string[] = [];
    const first = this.#index;
    for (let i = 0; i < members.length; i++) {
      const index = (first + i) % members.length;
      const member = members[index];
      if (member === undefined || this.#isClosed) break;
      const result = await this.#ask(member, path, text, tryMs ?? usualMs);
      if (!(result instanceof EtcdError)) {
        this.#index = index;
        return result;
      }
      if (result.failure !== 'unavailable') throw result;
      failures.push(`${member.host}: ${result.message}`);
    }
    // The next round does not begin with a member that may have stopped.
    this.#index = (first + 1) % members.length;
    const why = this.#isClosed ? 'the connection to etcd is closed' : failures.join('; ');
    throw new EtcdError('unavailable', `etcd does not answer: ${why}`);
  }

  /** Ends all connections; calls under way fail. */
  close(): void {
    this.#isClosed = true;
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  /** Asks one member, with a new token if it wants one. */
  async #ask(member: URL, path: string, text: string, ms: number): Promise<JsonObject | EtcdError> {
    const { user } = this.#options;
    if (user !== undefined && this.#token === undefined) {
      const error = await this.#authenticate(member, user);
      if (error !== undefined) return error;
    }
    const usedToken = this.#token;
    const result = await this.#send(member, path, text, ms);
    if (result !== 'needs token') return result;
    if (user === undefined) {
      return new EtcdError('refused', `etcd at ${member.host} wants a user: set --etcd-user-file`);
    }
    // Another call may have got a new one meanwhile.
    if (this.#token === usedToken) this.#token = undefined;
    if (this.#token === undefined) {
      const error = await this.#authenticate(member, user);
      if (error !== undefined) return error;
    }
    const again = await this.#send(member, path, text, ms);
    // Tokens of a member that lags behind; the next one may know it.
    return again === 'needs token'
      ? new EtcdError('unavailable', 'it does not accept the token that it gave')
      : again;
  }

  async #authenticate(member: URL, user: EtcdUser): Promise<EtcdError | undefined> {
    const body = JSON.stringify({ name: user.name, password: user.password });
    const result = await this.#send(member, '/v3/auth/authenticate', body, AUTHENTICATE_MS);
    if (result === 'needs token') return new EtcdError('unavailable', 'it asks for a token');
    if (result instanceof EtcdError) {
      if (!/authentication is not enabled/.test(result.message)) return result;
      this.#token = '';
      return undefined;
    }
    this.#token = typeof result.token === 'string' ? result.token : undefined;
    return undefined;
  }

  async #send(
    member: URL,
    path: string,
    text: string,
    ms: number,
  ): Promise<JsonObject | EtcdError | 'needs token'> {
    let answer: Answer;
    try {
      answer = await this.#post(member, path, text, ms);
    } catch (error) {
      return new EtcdError('unavailable', error instanceof Error ? error.message : String(error));
    }
    const value = parse(answer.text);
    if (answer.status === 200) {
      if (isObject(value?.result)) return value.result;
      if (value !== undefined && value.error === undefined) return value;
    }
    return failureOf(member, answer, value);
  }

  /** Rejects if there is no complete answer in time. */
  #post(member: URL, path: string, text: string, ms: number, isAgain = false): Promise<Answer> {
    const isTls = member.protocol === 'https:';
    const options: RequestOptions = {
      method: 'POST',
      agent: isTls ? this.#agents.https : this.#agents.http,
      headers: {
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(text),
        ...(this.#token ? { Authorization: this.#token } : {}),
      },
    };
    const url = new URL(path, member);
    return new Promise((resolve, reject) => {
      const request = isTls ? httpsRequest(url, options) : httpRequest(url, options);
      const timer = setTimeout(() => {
        request.destroy(new Error(`no answer within ${ms} ms`));
      }, ms);
      const fail = (error: Error): void => {
        clearTimeout(timer);
        reject(this.#reason(error, isTls));
      };
      request.on('error', (error: NodeJS.ErrnoException) => {
        // etcd may have closed the idle connection as this request was sent.
        if (!request.reusedSocket || error.code !== 'ECONNRESET' || isAgain) fail(error);
        else {
          clearTimeout(timer);
          resolve(this.#post(member, path, text, ms, true));
        }
      });
      request.on('response', (response) => {
        readAnswer(response, fail, (answer) => {
          clearTimeout(timer);
          this.#hasAnswered = true;
          resolve(answer);
        });
      });
      request.end(text);
    });
  }

  #reason(error: NodeJS.ErrnoException, isTls: boolean): Error {
    // Node's error of several addresses of a name has no message.
    const message = error.message === '' ? (error.code ?? 'no connection') : error.message;
    return new Error(`${message}${this.#hasAnswered ? '' : cureOf(error, isTls)}`);
  }
}

function readAnswer(
  response: IncomingMessage,
  fail: (error: Error) => void,
  done: (answer: Answer) => void,
): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) response.destroy(new Error('the answer is too long'));
    else chunks.push(chunk);
  });
  response.on('end', () => {
    done({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() });
  });
  response.on('error', fail);
}

/** What a failed connection may be cured by, as the end of a sentence. */
function cureOf({ code, message }: NodeJS.ErrnoException, isTls: boolean): string {
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

function parse(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function failureOf(
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

/** A key or value as the gateway wants it. */
export function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** A key or value of an answer; left out, it is empty. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString() : '';
}

/** A 64-bit integer of an answer, as its digits; left out, it is zero. */
export function int64(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '0';
}

/** The `kvs` of a range. */
export function keyValues(range: JsonObject): readonly JsonObject[] {
  return Array.isArray(range.kvs) ? range.kvs.filter(isObject) : [];
}

/** The range in the first response of a transaction. */
export function firstRange(answer: JsonObject): JsonObject {
  const [first] = Array.isArray(answer.responses) ? answer.responses : [];
  const range: unknown = isObject(first) ? first.response_range : undefined;
  return isObject(range) ? range : {};
}

/** The end of the range of all keys that begin with `prefix`, which ends in ASCII. */
export function prefixEnd(prefix: string): string {
  const last = prefix.length - 1;
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
}
