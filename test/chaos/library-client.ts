/**
 * A client of the library that logs what it relies on: whenever the library says that a lock is held,
 * that is written down, and the checker holds it against what all other clients were granted.
 *
 * Of the server's promises (order, early ends, what a waiting lock is owed) it can't tell anything: it
 * sees no messages. The clients in client.ts do that.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import {
  type Client,
  connect,
  type HeldLock,
  LocktopusError,
  UnreachableError,
} from '../../src/client/index.ts';
import type { Resource } from '../../src/table/resource.ts';
import { type HistoryFile, now } from './history.ts';
import type { Character, Terms } from './script.ts';

/** Milliseconds between two tries to connect. */
const RETRY_MS = 20;
/** When its requests are answered is not to be seen: nothing is concluded from that. */
const UNKNOWN = 0;

export class LibraryClient {
  readonly #name: string;
  readonly #history: HistoryFile;
  readonly #client: Client;
  #refs = 0;
  /** The server broke the protocol. */
  #fault: LocktopusError | undefined;

  private constructor(name: string, history: HistoryFile, client: Client) {
    this.#name = name;
    this.#history = history;
    this.#client = client;
    client.on('disconnected', ({ error }) => {
      if (error.code === 'protocol') this.#fault = error;
    });
  }

  /** Tries until it is connected. */
  static async connect(
    name: string,
    { kind, namespace, abandonMs }: Character,
    port: number,
    history: HistoryFile,
  ): Promise<LibraryClient> {
    // Without an abandon timeout nothing is concluded but what the library says: see `Held`.
    history.write({ t: now(), c: name, e: 'opened', namespace, abandonMs: 0, isNamed: true });
    const scheme = kind === 'library-ws' ? 'ws' : 'locktopus';
    const url = `${scheme}://127.0.0.1:${port}/${namespace}`;
    for (;;) {
      try {
        const client = await connect(url, { abandonTimeoutMs: abandonMs, WebSocket });
        return new LibraryClient(name, history, client);
      } catch (error) {
        if (!(error instanceof UnreachableError)) throw error;
        await delay(RETRY_MS);
      }
    }
  }

  /**
   * Holds a lock while `work` runs, if it gets it.
   *
   * @param signal cancels the wait
   * @param work is given the lock's id, and a function that logs whether it is still held
   */
  async hold(
    resources: readonly Resource[],
    terms: Terms,
    signal: AbortSignal | undefined,
    work: (id: number, look: () => boolean) => Promise<void>,
  ): Promise<void> {
    const request = { c: this.#name, r: ++this.#refs };
    this.#history.write({ t: now(), ...request, e: 'request', resources, ...terms });
    let lock: HeldLock;
    try {
      lock = await this.#client.lock(resources, { ...terms, signal });
    } catch (error) {
      const code = signal?.aborted ? 'cancelled' : codeOf(error, terms);
      this.#history.write({ t: now(), ...request, e: 'refused', code });
      return;
    }
    const told = { ...request, e: 'told', id: Number(lock.id), asked: UNKNOWN } as const;
    this.#history.write({ t: now(), ...told, state: 'acquired' });
    const look = (e: 'held' | 'release'): boolean => {
      // Before the library looks at its clocks: what it says then holds for this moment.
      const t = now();
      if (!lock.isHeld) return false;
      this.#history.write({ t, ...request, e });
      return true;
    };
    await work(told.id, () => look('held'));
    const isHeld = look('release');
    await lock.release();
    if (isHeld) this.#history.write({ t: now(), ...told, state: 'released' });
    else this.#history.write({ t: now(), ...request, e: 'gone' });
  }

  /** Waits until the server has heard what it is owed: a client that closes while it is unreachable
   * leaves its locks to the abandon timeout. */
  async settle(): Promise<void> {
    for (;;) {
      try {
        await this.#client.ping();
        return;
      } catch (error) {
        if (!(error instanceof UnreachableError)) throw error;
      }
    }
  }

  async leave(): Promise<void> {
    this.#history.write({ t: now(), c: this.#name, e: 'bye' });
    await this.#client.close();
    if (this.#fault !== undefined) throw this.#fault;
  }
}

/** Why a lock was not acquired; throws what must not happen. */
function codeOf(error: unknown, { holdMs }: Terms): string {
  if (!(error instanceof LocktopusError)) throw error;
  const { code } = error;
  const isTooLate = code === 'timeout' || code === 'unreachable';
  // It was granted, and had expired before the client heard of it.
  const hasExpired = holdMs !== undefined && (code === 'expired' || code === 'missing');
  if (!isTooLate && !hasExpired) throw error;
  return code;
}
