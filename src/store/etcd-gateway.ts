/**
 * Speaks to etcd through its HTTP/JSON gateway (`/v3/...`), which every etcd since 3.4 serves on its
 * client addresses.
 *
 * A call is one round over all members, beginning with the one that answered last; each has a short
 * time to answer. etcd itself would wait for seconds without a leader, and longer for a member that
 * has stopped. So after a failure it is unknown whether the call took effect, and a call may take
 * effect twice, or later: whatever is sent must bear that (see etcd-store.ts).
 *
 * What is peculiar about the gateway, and handled here and in etcd-json.ts and etcd-error.ts:
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
import { type Answer, cureOf, EtcdError, failureOf } from './etcd-error.ts';
import { parseObject } from './etcd-json.ts';

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

const DEFAULT_TRY_MS = 400;

/** Checking a password takes a tenth of a second, several at a time take longer. */
const AUTHENTICATE_MS = 5000;

/** Bytes of an answer, at most: a page of records is far smaller. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

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
    const value = parseObject(answer.text);
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
