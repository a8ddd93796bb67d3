/** Says in words what the server sends, and keeps what the shell must know of it: its locks. */
import type { LocktopusError } from '../../client/errors.ts';
import { decodeResources } from '../../client/lock-fields.ts';
import { type Fields, type Greeting, isPath, type Reply } from '../../client/replies.ts';
import type { Path } from '../../client/resources.ts';
import { decodeEvent } from '../../client/watch.ts';
import { formatAge, resourcesText } from '../../operators/lock-text.ts';
import { printable, printableJson } from '../../operators/printable.ts';
import { parsed } from '../../operators/raw-messages.ts';
import { eventText } from '../event-text.ts';
import { PLAIN, type Style } from '../paint.ts';
import type { ShellHost } from './host.ts';
import { type OwnLock, OwnLocks } from './own-locks.ts';
import { Questions } from './questions.ts';
import type { RawSessionEvents } from './raw-session.ts';

/** Why a lock has ended that was not released. */
const ENDINGS: Readonly<Record<string, string>> = {
  expired: 'lost: it was held as long as it may be',
  evicted: 'lost: an administrator took it away',
};

/** Stands for the resources of a lock whose request, typed as JSON, was not answered in time. */
const UNANSWERED = '(requested before)';

export class Narrator implements RawSessionEvents {
  readonly locks = new OwnLocks();
  readonly questions: Questions;
  /** Whether every message is shown. */
  isRaw: boolean;
  readonly #host: ShellHost;
  #namespace = '';
  #isConnected = false;
  /** What is watched on each connection, by its JSON. */
  readonly #watched = new Map<string, Path>();
  /** For how long the server keeps the locks if the connection breaks, in milliseconds. */
  #keptMs = 0;

  constructor(host: ShellHost, isRaw: boolean) {
    this.#host = host;
    this.isRaw = isRaw;
    this.questions = new Questions({
      isReady: () => host.isReady(),
      send: (text) => host.send(text),
      hasLock: (id) => id !== undefined && this.locks.get(id) !== undefined,
    });
  }

  get prompt(): string {
    return this.#isConnected ? `${printable(this.#namespace)}> ` : '(not connected)> ';
  }

  /** The handles of the shell's own locks. */
  get handles(): readonly string[] {
    return this.locks.all().map(({ handle }) => handle);
  }

  sent(text: string): void {
    if (this.isRaw) this.#say(`> ${printableJson(text)}`, 'dim');
  }

  received(text: string): void {
    if (this.isRaw) this.#say(`< ${printableJson(text)}`, 'dim');
  }

  began({ namespace, version, sessionId, abandonTimeoutMs }: Greeting, address: string): void {
    this.#connected(true, namespace);
    this.#keptMs = abandonTimeoutMs;
    const server = `connected to ${address}, Locktopus ${printable(version)}`;
    this.#say(`${server}; session ${printable(sessionId)}`);
    this.#watchAgain();
  }

  resumed(list: readonly Reply[], address: string): void {
    this.#connected(true, this.#namespace);
    this.#say(`connected to ${address} again; the session goes on`);
    const kept = new Set<OwnLock>();
    for (const reply of list) {
      const known = this.locks.get(reply.id) ?? this.locks.get(reply.fields.ref);
      const lock = known ?? this.locks.add(UNANSWERED, reply.id, this.#host.clock.now());
      kept.add(lock);
      this.lockChanged(lock, reply);
    }
    for (const lock of this.locks.all()) if (!kept.has(lock)) this.#lost(lock);
    this.#watchAgain();
  }

  gone(message: string): void {
    this.#say(`the session has ended: ${printable(message)}`, 'red');
    this.questions.failAll('the session has ended');
    for (const lock of this.locks.all()) this.#lost(lock);
  }

  disconnected(message: string): void {
    this.#connected(false, this.#namespace);
    const kept = `. The server keeps your locks for ${formatAge(this.#keptMs)}`;
    const hint = this.locks.all().length === 0 ? '' : kept;
    this.#say(`${printable(message)}; reconnecting${hint}`, 'red');
    this.questions.failAll('the connection broke before the answer came');
  }

  message(reply: Reply, text: string): void {
    if (this.questions.take(reply, text)) return;
    const lock = this.locks.get(reply.id);
    if (reply.action === 'lock' && lock !== undefined) this.lockChanged(lock, reply);
    else if (reply.action === 'watch') this.#happened(reply.fields);
    else if (reply.error !== undefined) this.mistake(reply.error.message);
    else if (!this.isRaw) this.#say(printableJson(text));
  }

  failed(error: LocktopusError): void {
    this.#host.leave(error);
  }

  ended(): void {
    this.#host.leave();
  }

  /** Something typed can't be done. */
  mistake(message: string): void {
    this.#say(printable(message), 'red');
  }

  /** The server has said what became of a lock. */
  lockChanged(lock: OwnLock, { id, state, error }: Reply): void {
    const nowMs = this.#host.clock.now();
    const isNews = lock.state !== state;
    const waitedMs = lock.state === 'enqueued' ? nowMs - lock.sinceMs : undefined;
    lock.id ??= id;
    if (error !== undefined) {
      this.#end(lock, `refused: ${printable(error.message)}`);
      return;
    }
    if (state === 'timeout') {
      const within = waitedMs === undefined ? '' : ` within ${formatAge(waitedMs)}`;
      this.#end(lock, `not acquired: it was not free${within}`);
      return;
    }
    if (state !== 'acquired' && state !== 'enqueued') {
      this.#end(lock, ENDINGS[state ?? ''] ?? printable(String(state)));
      return;
    }
    if (isNews) Object.assign(lock, { state, sinceMs: nowMs });
    const what = `${lock.text} (lock ${lock.id})`;
    if (state === 'enqueued') {
      this.#say(`${lock.handle} ${isNews ? 'waits' : 'still waits'}: ${what}`, 'yellow');
      return;
    }
    const after = waitedMs === undefined ? '' : ` after ${formatAge(waitedMs)}`;
    this.#say(`${lock.handle} ${isNews ? `acquired${after}` : 'still held'}: ${what}`, 'green');
    lock.settle(true);
  }

  /** The server has released a lock, or taken it out of the queue. */
  released(id: string): void {
    const lock = this.locks.get(id);
    if (lock === undefined) return;
    const how = lock.state === 'enqueued' ? 'waits no longer' : 'released';
    this.locks.remove(lock);
    this.#say(`${lock.handle} ${how}: ${lock.text}`);
  }

  /** The server has confirmed `watch` or `unwatch`. Watches end with their connection. */
  watching({ action, fields: { path } }: Reply): void {
    if (!isPath(path)) return;
    if (action === 'watch') this.#watched.set(JSON.stringify(path), path);
    else this.#watched.delete(JSON.stringify(path));
  }

  /** Sends a message as it was typed. Resolves with whether it succeeded. */
  json(text: string): Promise<boolean> {
    const request = parsed(text);
    return this.questions.json(text, (reply, answer) => {
      if (!this.isRaw) this.#say(printableJson(answer));
      if (reply.error === undefined) this.#follow(reply, request);
    });
  }

  /** What was typed as JSON counts like what was typed in words. */
  #follow(reply: Reply, request: Fields): void {
    const { action, id, state } = reply;
    if (action === 'watch' || action === 'unwatch') this.watching(reply);
    if (id === undefined) return;
    if (action === 'release') this.released(id);
    if (action !== 'lock' || this.locks.get(id) !== undefined) return;
    if (state !== 'acquired' && state !== 'enqueued') return;
    const listed = decodeResources({ resources: request.resources });
    const lock = this.locks.add(
      resourcesText(listed?.resources ?? [], 0),
      id,
      this.#host.clock.now(),
    );
    lock.state = state;
    this.#say(`${lock.handle} is lock ${id}`);
  }

  #watchAgain(): void {
    for (const path of this.#watched.values()) {
      this.questions.send({ action: 'watch', path }, ({ error }) => {
        if (error !== undefined) this.mistake(error.message);
      });
    }
    if (this.#watched.size > 0) this.#say('watching again; missed what happened meanwhile');
  }

  #happened(fields: Fields): void {
    const event = decodeEvent(fields);
    if (event instanceof Error) this.mistake(event.message);
    else if (event !== undefined) this.#say(eventText(event, this.#host.paper().paint ?? PLAIN));
  }

  #lost(lock: OwnLock): void {
    this.#end(lock, lock.state === 'acquired' ? 'lost' : 'not acquired');
  }

  #end(lock: OwnLock, how: string): void {
    this.locks.remove(lock);
    this.#say(`${lock.handle} ${how}: ${lock.text}`, 'red');
  }

  #connected(isConnected: boolean, namespace: string): void {
    this.#isConnected = isConnected;
    this.#namespace = namespace;
    this.#host.promptChanged();
  }

  #say(text: string, style?: Style): void {
    const { paint = PLAIN } = this.#host.paper();
    this.#host.out(`${paint(style, text)}\n`);
  }
}
