/**
 * A client of the session protocol or of v1 that logs what it observes. It requests the locks that
 * its caller wants, reads replies as they come, keeps its heartbeat, and resumes its session when
 * its connection breaks. A v1 client can't resume: it ends with its connection.
 *
 * Why not the library's: the checker needs every message as it arrives, with the sending of what it
 * answers, and clients that the library never is: of v1, without a heartbeat, with a session that ends
 * at once, closing one side only. library-client.ts runs beside these.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Resource } from '../../src/table/resource.ts';
import { Changes } from '../support/changes.ts';
import type { Reply } from '../support/line-client.ts';
import { type HistoryFile, type Nanos, now } from './history.ts';
import { Link } from './link.ts';
import type { Character, Terms } from './script.ts';

/** The session has ended, or the connection of a v1 client. */
export class Over extends Error {}

/** A requested lock. */
export interface Wanted {
  readonly ref: number;
  readonly resources: readonly Resource[];
  readonly terms: Terms;
  id: number | undefined;
  state: 'asked' | 'enqueued' | 'acquired' | 'ended';
  isReleasing: boolean;
}

interface Ask {
  readonly action: string;
  readonly ref: string | number | undefined;
  readonly at: Nanos;
}

interface Message {
  readonly action: string;
  readonly ref?: string | number;
  readonly [field: string]: unknown;
}

/** Milliseconds between two tries to connect. */
const RETRY_MS = 20;

export class ChaosClient {
  readonly name: string;
  readonly #character: Character;
  readonly #port: number;
  readonly #history: HistoryFile;
  readonly #wanted = new Map<number, Wanted>();
  #link: Link | undefined;
  /** Requests of this connection that are not answered yet. */
  #asks: Ask[] = [];
  #asked: Nanos;
  #session: string | undefined;
  /** The locks left to come of the list that a resumed session begins with. */
  #list: { left: number; readonly asked: Nanos; readonly replies: Reply[] } | undefined;
  #isWelcome = false;
  #isOver = false;
  #isLeaving = false;
  #pinger: NodeJS.Timeout | undefined;
  readonly #changes = new Changes();
  #refs = 0;

  constructor(name: string, character: Character, port: number, history: HistoryFile) {
    this.name = name;
    this.#character = character;
    this.#port = port;
    this.#history = history;
    this.#asked = now();
    const { namespace, abandonMs, kind, heartbeatMs } = character;
    const isNamed = kind !== 'v1';
    history.write({ t: this.#asked, c: name, e: 'opened', namespace, abandonMs, isNamed });
    this.#connect();
    if (heartbeatMs !== undefined) {
      this.#pinger = setInterval(() => this.ping(), heartbeatMs / 3);
    }
  }

  /** Requests a lock; the returned object shows its state. */
  want(resources: readonly Resource[], terms: Terms): Wanted {
    const ref = ++this.#refs;
    const wanted: Wanted = {
      ref,
      resources,
      terms,
      id: undefined,
      state: 'asked',
      isReleasing: false,
    };
    this.#wanted.set(ref, wanted);
    const { owner: _, ...limits } = terms;
    this.#history.write({ t: now(), c: this.name, r: ref, e: 'request', resources, ...limits });
    if (this.#isWelcome) this.#sendLock(wanted);
    return wanted;
  }

  release(wanted: Wanted): void {
    // With its session it also lost its locks.
    if (wanted.state === 'ended' || wanted.isReleasing || this.#isOver) return;
    wanted.isReleasing = true;
    this.#history.write({ t: now(), c: this.name, r: wanted.ref, e: 'release' });
    if (this.#isWelcome) this.#sendRelease(wanted);
  }

  ping(): void {
    if (this.#isWelcome && this.#character.kind !== 'v1') this.#ask({ action: 'ping', ref: 'p' });
  }

  /** Waits until the condition holds; throws `Over` if it no longer can. */
  until(isTrue: () => boolean): Promise<void> {
    return this.#changes.until(() => {
      if (isTrue()) return true;
      if (this.#isOver) throw new Over();
      return false;
    });
  }

  /** Ends the client; it releases its locks, or leaves that to the server. */
  async leave(): Promise<void> {
    const { farewell, kind } = this.#character;
    if (farewell === 'bye' && kind !== 'v1' && this.#isWelcome && !this.#isOver) {
      this.#history.write({ t: now(), c: this.name, e: 'bye' });
      this.#isLeaving = true;
      this.#ask({ action: 'bye', ref: 'bye' });
      await this.until(() => this.#isOver);
      return;
    }
    if (!this.#isOver) this.#history.write({ t: now(), c: this.name, e: 'vanished' });
    this.#isLeaving = true;
    if (farewell === 'halfClose') this.#link?.halfClose();
    else this.#link?.destroy();
    this.#finish();
  }

  #connect(): void {
    const { kind, namespace, abandonMs } = this.#character;
    const query = `?namespace=${namespace}&abandon-timeout-ms=${abandonMs}`;
    const target = kind === 'lines' ? undefined : kind === 'v2' ? '/v2' : `/v1${query}`;
    this.#link = new Link(this.#port, target, {
      opened: () => this.#opened(),
      reply: (reply) => this.#take(reply),
      broke: () => void this.#broke(),
    });
  }

  #opened(): void {
    if (this.#isLeaving) return;
    const { kind, namespace, abandonMs, heartbeatMs } = this.#character;
    if (kind === 'v1') this.#accept();
    else if (this.#session === undefined) {
      const settings = { namespace, abandonTimeoutMs: abandonMs, heartbeatMs };
      this.#ask({ action: 'hello', ref: 'hello', ...settings });
    } else this.#ask({ action: 'hello', ref: 'hello', session: this.#session, heartbeatMs });
  }

  async #broke(): Promise<void> {
    this.#isWelcome = false;
    this.#asks = [];
    this.#list = undefined;
    if (this.#isLeaving) this.#finish();
    if (this.#isOver) return;
    if (this.#character.kind === 'v1') {
      this.#history.write({ t: now(), c: this.name, e: 'vanished' });
      this.#finish();
      return;
    }
    await delay(RETRY_MS);
    if (!this.#isLeaving && !this.#isOver) this.#connect();
  }

  #finish(): void {
    this.#isOver = true;
    clearInterval(this.#pinger);
    this.#changes.notify();
  }

  #ask(message: Message): void {
    const { action, ref } = message;
    this.#asks.push({ action, ref: this.#character.kind === 'v1' ? undefined : ref, at: now() });
    this.#link?.send(message);
  }

  #sendLock({ ref, resources, terms }: Wanted): void {
    const isV1 = this.#character.kind === 'v1';
    this.#ask({ action: 'lock', ...(isV1 ? {} : { ref, ...terms }), resources });
  }

  #sendRelease({ ref, id }: Wanted): void {
    if (this.#character.kind === 'v1') this.#ask({ action: 'release' });
    // The reply to the lock request may not have arrived; then this is sent when it has.
    else if (id !== undefined) {
      this.#ask({ action: 'release', ref: `r${ref}`, id: String(id) });
    }
  }

  #take(reply: Reply): void {
    if (this.#isLeaving && reply.action !== 'bye') return;
    if (this.#list !== undefined) {
      this.#list.replies.push(reply);
      this.#list.left--;
      if (this.#list.left === 0) this.#resumed();
      return;
    }
    const [first] = this.#asks;
    const isAnswer =
      first !== undefined && first.action === reply.action && first.ref === reply.ref;
    if (isAnswer) {
      this.#asks.shift();
      this.#asked = Math.max(this.#asked, first.at);
    }
    switch (reply.action) {
      case 'hello':
        this.#hello(reply, first?.at ?? 0);
        break;
      case 'ping':
        this.#history.write({ t: now(), c: this.name, e: 'heard', asked: this.#asked });
        break;
      case 'lock':
        this.#lock(reply);
        break;
      case 'release':
        this.#released(reply);
        break;
      case 'bye':
        break;
      default:
        this.#unasked(reply);
    }
    this.#changes.notify();
  }

  /**
   * An error that ends the connection: no heartbeat, taken over by our own next one, or a server that
   * reads its data directory.
   */
  #unasked(reply: Reply): void {
    const code = codeOf(reply) ?? '';
    if (!['silent', 'taken_over', 'restarting', 'not_owner'].includes(code))
      throw unexpected(reply);
  }

  #hello(reply: Reply, at: Nanos): void {
    if (codeOf(reply) === 'no_such_session') {
      this.#history.write({ t: now(), c: this.name, e: 'lost' });
      this.#finish();
      this.#link?.destroy();
      return;
    }
    if (typeof reply.session !== 'string') throw unexpected(reply);
    this.#session = reply.session;
    if (reply.resumed !== true) {
      this.#accept();
      return;
    }
    this.#list = { left: Number(reply.locks), asked: at, replies: [] };
    if (this.#list.left === 0) this.#resumed();
  }

  /** The list is complete: what is not in it has ended. */
  #resumed(): void {
    const { asked = 0, replies = [] } = this.#list ?? {};
    this.#list = undefined;
    const listed = new Set(replies.map(({ ref }) => ref));
    for (const wanted of this.#wanted.values()) {
      if (wanted.id !== undefined && !listed.has(wanted.ref)) this.#gone(wanted);
    }
    for (const reply of replies) {
      if (this.#named(reply) !== undefined) this.#lock(reply);
      else this.#cameBack(reply);
    }
    this.#history.write({ t: now(), c: this.name, e: 'heard', asked, resumed: true });
    this.#accept();
    this.#changes.notify();
  }

  #accept(): void {
    this.#isWelcome = true;
    for (const wanted of this.#wanted.values()) {
      if (wanted.id === undefined) this.#sendLock(wanted);
      if (wanted.isReleasing) this.#sendRelease(wanted);
    }
    this.#changes.notify();
  }

  #lock(reply: Reply): void {
    const wanted = this.#named(reply);
    const code = codeOf(reply);
    if (wanted === undefined) throw unexpected(reply);
    if (code !== undefined) {
      if (code !== 'deadlock') throw unexpected(reply);
      this.#history.write({ t: now(), c: this.name, r: wanted.ref, e: 'refused', code });
      this.#forget(wanted);
      return;
    }
    const state = reply.state as 'enqueued' | 'acquired' | 'timeout' | 'expired';
    const isFirst = wanted.id === undefined;
    this.#told(wanted, Number(reply.id), state);
    if (state === 'timeout' || state === 'expired') this.#forget(wanted);
    else {
      wanted.state = state;
      if (isFirst && wanted.isReleasing && this.#isWelcome && this.#session !== undefined) {
        this.#sendRelease(wanted);
      }
    }
  }

  /** A lock that has ended is in the list again: for the checker to find. */
  #cameBack({ ref, id, state }: Reply): void {
    const lock = { r: Number(ref), id: Number(id), state: state as 'enqueued' | 'acquired' };
    this.#history.write({ t: now(), c: this.name, e: 'told', ...lock, asked: this.#asked });
  }

  #released(reply: Reply): void {
    const wanted = this.#named(reply);
    const code = codeOf(reply);
    if (code !== undefined && code !== 'no_such_lock') throw unexpected(reply);
    // It may have timed out or expired before.
    if (wanted === undefined) return;
    if (code === 'no_such_lock') {
      this.#gone(wanted);
      return;
    }
    this.#told(wanted, Number(reply.id), 'released');
    this.#forget(wanted);
  }

  #told(
    wanted: Wanted,
    id: number,
    state: 'enqueued' | 'acquired' | 'timeout' | 'expired' | 'released',
  ) {
    wanted.id = id;
    const { ref: r } = wanted;
    this.#history.write({ t: now(), c: this.name, r, e: 'told', id, state, asked: this.#asked });
  }

  #gone(wanted: Wanted): void {
    this.#history.write({ t: now(), c: this.name, r: wanted.ref, e: 'gone' });
    this.#forget(wanted);
  }

  #forget(wanted: Wanted): void {
    wanted.state = 'ended';
    this.#wanted.delete(wanted.ref);
  }

  /** The lock that a message is about. In v1 there is but one. */
  #named({ ref }: Reply): Wanted | undefined {
    if (this.#character.kind === 'v1') return [...this.#wanted.values()][0];
    return this.#wanted.get(typeof ref === 'string' ? Number(ref.slice(1)) : Number(ref));
  }
}

function codeOf({ error }: Reply): string | undefined {
  return (error as { code: string } | undefined)?.code;
}

function unexpected(reply: Reply): Error {
  return new Error(`unexpected: ${JSON.stringify(reply)}`);
}
