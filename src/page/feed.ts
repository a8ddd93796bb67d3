/**
 * Keeps a `LockModel` as the server's: lists its locks, follows the events, and lists them again
 * from time to time, because no event says that a client is lost. Reconnects by itself. Draws
 * nothing.
 */
import { type Client, connect } from '../client/browser.ts';
import { LocktopusError } from '../client/errors.ts';
import { printable } from '../operators/printable.ts';
import type { LockModel } from './model.ts';

export type FeedStatus =
  | { readonly kind: 'connecting' }
  /** `server`: which one serves, if that is one of several. */
  | { readonly kind: 'connected'; readonly server: string | undefined }
  /** It is being tried again. */
  | { readonly kind: 'disconnected'; readonly reason: string }
  /** The server requires a token. It is not tried again without `start`. */
  | { readonly kind: 'unauthorized'; readonly wasSent: boolean };

export interface FeedEvents {
  status(status: FeedStatus): void;
  /** The model has changed. */
  changed(): void;
  /** Locks were acquired, so many. */
  acquired(count: number): void;
  /** Events were missed. */
  dropped(): void;
}

export interface ServerAddress {
  /** Of the session protocol over WebSocket, `ws://…/v2`. */
  readonly webSocket: string;
  /** An address that says, without a token, why a server does not serve now. */
  readonly readiness: string;
}

const CONNECT_TIMEOUT_MS = 8000;
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 5000;
/** Between two questions why there is no connection. */
const ASK_WHY_MS = 2000;
/** Between two listings. */
const LIST_EVERY_MS = 10_000;
const LIST_AGAIN_MS = 1000;
/** Locks that are listed: what a page can show and keep up with. */
const MAX_LISTED = 50_000;
/** A listing may cost a fiftieth of the time, however long it takes. */
const REST_PER_LISTING = 50;

export class Feed {
  readonly #address: ServerAddress;
  readonly #model: LockModel;
  readonly #events: FeedEvents;
  #run: AbortController | undefined;
  #client: Client | undefined;
  #isListed = false;
  #isPartial = false;
  /** Ends the pause before the next listing. */
  #listNow: (() => void) | undefined;

  constructor(address: ServerAddress, model: LockModel, events: FeedEvents) {
    this.#address = address;
    this.#model = model;
    this.#events = events;
  }

  /** The client while there is one; it may be reconnecting. */
  get client(): Client | undefined {
    return this.#client;
  }

  /** Whether all locks have been listed since the start. */
  get isListed(): boolean {
    return this.#isListed;
  }

  /** Whether there are more locks than are listed. */
  get isPartial(): boolean {
    return this.#isPartial;
  }

  /** Shows `namespace` from now on, with `token` if the server requires one. */
  start(namespace: string, token: string | undefined): void {
    this.stop();
    const run = new AbortController();
    this.#run = run;
    void this.#follow(namespace, token, run.signal);
  }

  stop(): void {
    this.#run?.abort();
    this.#run = undefined;
    this.#isListed = false;
    this.#model.clear();
  }

  async #follow(namespace: string, token: string | undefined, signal: AbortSignal): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    this.#events.status({ kind: 'connecting' });
    while (!signal.aborted) {
      const client = await connectTo(this.#address, namespace, token, signal);
      if (signal.aborted) {
        if ('close' in client) void client.close();
        return;
      }
      if ('kind' in client) {
        this.#events.status(client);
        if (client.kind === 'unauthorized') return;
        await pause(pauseMs, signal);
        pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
        continue;
      }
      pauseMs = FIRST_PAUSE_MS;
      await this.#use(client, signal);
    }
  }

  /** Until the client gives up, or `signal` aborts. */
  async #use(client: Client, signal: AbortSignal): Promise<void> {
    this.#client = client;
    const end = new AbortController();
    const both = AbortSignal.any([end.signal, signal]);
    let outage = new AbortController();
    const connected = (): void => {
      outage.abort();
      this.#events.status({ kind: 'connected', server: client.server });
    };
    client.on('disconnected', ({ error }) => {
      if (both.aborted) return;
      this.#events.status(disconnected(error));
      outage = new AbortController();
      void this.#explain(AbortSignal.any([both, outage.signal]));
    });
    for (const event of ['connected', 'resumed'] as const) {
      client.on(event, () => both.aborted || connected());
    }
    connected();
    try {
      await Promise.all([this.#watch(client, both), this.#list(client, both)]);
    } catch (error) {
      if (!signal.aborted) this.#events.status(disconnected(error));
    } finally {
      end.abort();
      void client.close();
      if (this.#client === client) this.#client = undefined;
    }
  }

  /**
   * Says why there is no connection, until `signal` aborts: the server may be back and wait for its
   * turn, while another one serves. The client, which tries again, does not say that.
   */
  async #explain(signal: AbortSignal): Promise<void> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = ASK_WHY_MS) {
      await pause(pauseMs, signal);
      if (signal.aborted) return;
      const reason = await reasonOf(this.#address.readiness);
      if (signal.aborted) return;
      if (reason !== undefined) this.#events.status({ kind: 'disconnected', reason });
    }
  }

  async #watch(client: Client, signal: AbortSignal): Promise<void> {
    for await (const event of client.watch({ signal })) {
      if (event.event === 'dropped') {
        this.#events.dropped();
        this.#listNow?.();
        continue;
      }
      if (event.event === 'acquired') this.#events.acquired(1);
      this.#model.hear(event, performance.now());
      this.#events.changed();
    }
  }

  async #list(client: Client, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startMs = performance.now();
      let count = 0;
      this.#model.begin();
      for await (const lock of client.inspect({ signal })) {
        if (++count > MAX_LISTED) break;
        this.#model.list(lock, performance.now());
        this.#events.changed();
      }
      this.#isPartial = count > MAX_LISTED;
      this.#model.complete();
      this.#isListed = true;
      this.#events.changed();
      const tookMs = performance.now() - startMs;
      await pause(LIST_AGAIN_MS, signal);
      await new Promise<void>((resolve) => {
        this.#listNow = resolve;
        const restMs = Math.max(LIST_EVERY_MS, REST_PER_LISTING * tookMs);
        void pause(restMs, signal).then(resolve);
      });
    }
  }
}

/** A client, or why there is none. Never rejects. */
export async function connectTo(
  { webSocket, readiness }: ServerAddress,
  namespace: string,
  token: string | undefined,
  signal?: AbortSignal,
): Promise<Client | Extract<FeedStatus, { kind: 'disconnected' | 'unauthorized' }>> {
  try {
    const options = { label: 'web page', connectTimeoutMs: CONNECT_TIMEOUT_MS };
    return await connect(webSocket, { ...options, namespace, token, signal });
  } catch (error) {
    if (signal?.aborted) return disconnected(error);
    if (error instanceof LocktopusError && error.code === 'unauthorized') {
      return { kind: 'unauthorized', wasSent: token !== undefined };
    }
    // A browser does not say why a WebSocket was refused.
    const reason = await reasonOf(readiness);
    return reason === undefined ? disconnected(error) : { kind: 'disconnected', reason };
  }
}

const UNREACHABLE = 'the server can’t be reached';

/** Why the server does not serve; undefined if it does. */
async function reasonOf(readiness: string): Promise<string | undefined> {
  try {
    const answer = await fetch(readiness, { cache: 'no-store' });
    if (answer.ok) return undefined;
    // A proxy answers by pages of its own.
    const isOurs = answer.headers.get('Content-Type')?.startsWith('text/plain');
    return isOurs ? clauseOf(await answer.text()) : `${UNREACHABLE} (HTTP ${answer.status})`;
  } catch {
    return UNREACHABLE;
  }
}

/** A sentence as the end of another one. */
function clauseOf(sentence: string): string {
  const text = sentence.trim().replace(/\.$/, '');
  return printable(text.charAt(0).toLowerCase() + text.slice(1));
}

function disconnected(error: unknown): Extract<FeedStatus, { kind: 'disconnected' }> {
  const reason = error instanceof LocktopusError ? error.message : String(error);
  return { kind: 'disconnected', reason };
}

/** Resolves early when `signal` aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timeout);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timeout = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
