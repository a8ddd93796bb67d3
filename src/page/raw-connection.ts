/**
 * A connection of the playground: speaks the session protocol as a program without a library would,
 * and keeps every message. When it is cut it stays so until it is resumed, to show what the server
 * does meanwhile; that is why it is not the client's session, which reconnects by itself. No DOM.
 */
import { type Fields, isCount, type ReplyError } from '../client/replies.ts';
import type { Resource } from '../client/resources.ts';
import type { OpenTransport, Transport, TransportEvents } from '../client/transport.ts';
import { resourcesText } from '../operators/lock-text.ts';
import { printableJson } from '../operators/printable.ts';
import { decode, withoutSecrets } from '../operators/raw-messages.ts';
import { applyReply, type OwnLock, type OwnState } from './own-locks.ts';

export interface RawSettings {
  readonly url: string;
  readonly namespace: string;
  readonly token: string | undefined;
  /** Names the session, and the owner of its locks, so that deadlocks are found. */
  readonly label: string;
  /** Milliseconds for which the server keeps the locks when the connection is cut. */
  readonly abandonTimeoutMs: number;
}

export interface Message {
  readonly direction: 'sent' | 'received' | 'note';
  readonly text: string;
}

export type ConnectionState = 'connecting' | 'open' | 'cut' | 'ended';

export interface RawEvents {
  changed(): void;
  /** A lock of this connection has another state. */
  lockChanged(lock: OwnLock): void;
}

/** Messages that are kept. */
const MAX_MESSAGES = 200;
/** Locks that are kept, ended ones first to go. */
const MAX_LOCKS = 50;

export class RawConnection {
  readonly settings: RawSettings;
  readonly #open: OpenTransport;
  readonly #events: RawEvents;
  readonly #now: () => number;
  #transport: Transport | undefined;
  #state: ConnectionState = 'connecting';
  #session: string | undefined;
  #messages: Message[] = [];
  #locks: OwnLock[] = [];
  #lastRef = 0;
  #cutAtMs = 0;
  /** Of a resumed session: locks that the server has not listed yet, and how many it will list. */
  #unlisted: OwnLock[] = [];
  #listLeft = 0;
  /** Called when the next reply to `hello` or to a lock has come, or can't come any more. */
  #waiting: (() => void)[] = [];

  /** @param now milliseconds since an arbitrary origin */
  constructor(settings: RawSettings, open: OpenTransport, now: () => number, events: RawEvents) {
    this.settings = settings;
    this.#open = open;
    this.#now = now;
    this.#events = events;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Oldest first. */
  get messages(): readonly Message[] {
    return this.#messages;
  }

  /** In order of their requests; those that have ended, too. */
  get locks(): readonly OwnLock[] {
    return this.#locks;
  }

  /**
   * Milliseconds for which the server still keeps the locks of the cut connection; 0 if no longer.
   */
  get keptForMs(): number {
    if (this.#state !== 'cut' || this.#session === undefined) return 0;
    return Math.max(0, this.#cutAtMs + this.settings.abandonTimeoutMs - this.#now());
  }

  /**
   * Connects, and resumes the session if there is one. Resolves when that is done, or has failed.
   */
  connect(): Promise<void> {
    if (this.#transport !== undefined) return Promise.resolve();
    this.#set('connecting');
    const transport = this.#connect({
      opened: () => this.#hello(),
      message: (text) => {
        if (this.#transport === transport) this.#received(text);
      },
      closed: (error) => {
        if (this.#transport !== transport) return;
        this.#transport = undefined;
        this.#note(error === undefined ? 'closed' : `closed: ${error.message}`);
        this.#lost();
      },
    });
    this.#transport = transport;
    return this.#nextReply();
  }

  #connect(events: TransportEvents): Transport {
    const { url, token } = this.settings;
    return this.#open({ kind: 'websocket', url, name: url }, token, events);
  }

  /** Resolves when the session has begun, or when it is known that it does not. */
  opened(): Promise<void> {
    return this.#state === 'connecting' ? this.#nextReply() : Promise.resolve();
  }

  /** Resolves when the server has answered. Only while open. */
  lock(resources: readonly Resource[]): Promise<void> {
    const ref = ++this.#lastRef;
    const text = resourcesText(resources, 0);
    this.#locks.push({ ref, id: undefined, text, state: 'asked', reason: undefined });
    const ended = this.#locks.findIndex(({ state }) => isOver(state));
    if (this.#locks.length > MAX_LOCKS && ended !== -1) this.#locks.splice(ended, 1);
    this.#send({ action: 'lock', ref, owner: this.settings.label, resources });
    return this.#nextReply();
  }

  release(id: string): Promise<void> {
    this.#send({ action: 'release', ref: ++this.#lastRef, id });
    return this.#nextReply();
  }

  /** Breaks the connection, as a network that fails: the server is told nothing. */
  cut(): void {
    this.#transport?.destroy();
    this.#transport = undefined;
    this.#note('the connection is cut, without bye');
    this.#lost();
  }

  /**
   * Says `bye`, which releases everything, and ends; for a cut session on a connection of its own.
   */
  end(): void {
    if (this.#state === 'open') this.#send({ action: 'bye' });
    this.#transport?.close();
    this.#transport = undefined;
    const session = this.#session;
    if (this.keptForMs > 0) {
      const transport = this.#connect({
        opened: () => {
          transport.send(JSON.stringify({ action: 'hello', session }));
          transport.send('{"action":"bye"}');
          transport.close();
        },
        message: () => {},
        closed: () => {},
      });
    }
    this.#endLocks('released', undefined);
    this.#set('ended');
  }

  /** Time has passed: the locks of a cut connection may be abandoned by now. */
  tick(): void {
    if (this.#state !== 'cut' || this.keptForMs > 0 || this.#session === undefined) return;
    this.#session = undefined;
    this.#note('the abandon timeout has passed: the server has released the locks');
    this.#endLocks('abandoned', undefined);
    this.#events.changed();
  }

  #hello(): void {
    const { namespace, label, abandonTimeoutMs } = this.settings;
    const session = this.#session;
    const fields = session === undefined ? { namespace, label, abandonTimeoutMs } : { session };
    this.#send({ action: 'hello', ...fields });
  }

  #send(message: { readonly action: string; readonly [name: string]: unknown }): void {
    this.#transport?.send(JSON.stringify(message));
    this.#keep({ direction: 'sent', text: JSON.stringify(withoutSecrets(message)) });
  }

  #received(text: string): void {
    const reply = decode(text);
    if (reply instanceof Error) {
      this.#keep({ direction: 'received', text });
      return;
    }
    const { action, error, fields } = reply;
    const shown = action === 'hello' ? JSON.stringify(withoutSecrets(fields)) : text;
    this.#keep({ direction: 'received', text: shown });
    if (action === 'hello') this.#greeted(fields, error);
    else if (action === undefined && error !== undefined) this.#endedBy(error);
    else {
      if (this.#listLeft > 0 && action === 'lock') {
        this.#listLeft--;
        this.#unlisted = this.#unlisted.filter(({ ref }) => ref !== fields.ref);
        this.#endUnlisted();
      }
      const changed = applyReply(this.#locks, reply);
      if (changed !== undefined) this.#events.lockChanged(changed);
    }
    this.#replied();
    this.#events.changed();
  }

  #greeted({ session, locks: listed }: Fields, error: ReplyError | undefined): void {
    if (error?.code === 'no_such_session') {
      this.#session = undefined;
      this.#endLocks('abandoned', undefined);
      this.#hello();
      return;
    }
    if (error !== undefined || typeof session !== 'string') return;
    this.#session = session;
    this.#unlisted = isCount(listed) ? this.#locks.filter(({ state }) => !isOver(state)) : [];
    this.#listLeft = isCount(listed) ? listed : 0;
    this.#endUnlisted();
    this.#set('open');
  }

  /** A resumed session is followed by a list of its locks; what it lacks has ended meanwhile. */
  #endUnlisted(): void {
    if (this.#listLeft > 0) return;
    for (const lock of this.#unlisted) lock.state = 'lost';
    this.#unlisted = [];
  }

  /** An error that is no reply precedes the end of the connection, and mostly of the session. */
  #endedBy({ code, message }: ReplyError): void {
    if (code === 'draining' || code === 'restarting') return;
    this.#session = undefined;
    this.#endLocks('lost', message);
  }

  #lost(): void {
    if (this.#state === 'ended') return;
    this.#cutAtMs = this.#now();
    if (this.#session === undefined) this.#endLocks('lost', undefined);
    this.#replied();
    this.#set('cut');
  }

  #endLocks(state: OwnState, reason: string | undefined): void {
    for (const lock of this.#locks) {
      if (isOver(lock.state)) continue;
      lock.state = state;
      lock.reason = reason;
    }
  }

  #note(text: string): void {
    this.#keep({ direction: 'note', text });
  }

  #keep({ direction, text }: Message): void {
    this.#messages.push({ direction, text: printableJson(text) });
    if (this.#messages.length > MAX_MESSAGES) this.#messages.shift();
    this.#events.changed();
  }

  #set(state: ConnectionState): void {
    this.#state = state;
    this.#events.changed();
  }

  #nextReply(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #replied(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

function isOver(state: OwnState): boolean {
  return state !== 'asked' && state !== 'held' && state !== 'waiting';
}
