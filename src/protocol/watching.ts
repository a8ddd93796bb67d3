/**
 * What a connection watches. Events go out as they happen, unless the client is slow to read: then
 * they are counted instead, and it is told how many it missed as soon as it has caught up. So a slow
 * watcher costs a bounded amount, and nobody but itself an event.
 */
import type { SessionLock } from '../session/lock-record.ts';
import type { Namespace } from '../session/namespace.ts';
import type { LockEvent, Watcher } from '../session/watchers.ts';
import type { Path } from '../table/resource.ts';
import type { Answers } from './answers.ts';
import type { Channel } from './channel.ts';
import { resourceFields, wordFields } from './lock-fields.ts';
import type { WatchRequest } from './messages.ts';
import { Refusal } from './refusal.ts';

/** @param maxWatches paths that a connection may watch at a time */
export function answerWatch(
  { action, ref, path }: WatchRequest,
  watching: Watching,
  maxWatches: number,
  answers: Answers,
): void {
  const isNew = action === 'watch' && !watching.has(path);
  if (isNew && watching.count >= maxWatches) {
    const message = `this connection watches ${maxWatches} paths, as many as are allowed; unwatch one first`;
    answers.refuse(action, ref, new Refusal('too_many_watches', message));
    return;
  }
  if (action === 'watch') watching.add(path);
  else watching.remove(path);
  answers.fields(action, ref, { path });
}

/** Unread bytes from which on a client counts as slow. */
const MAX_UNREAD_BYTES = 64 * 1024;

export class Watching implements Watcher {
  readonly #channel: Channel;
  readonly #namespace: Namespace;
  #dropped = 0;

  constructor(channel: Channel, namespace: Namespace) {
    this.#channel = channel;
    this.#namespace = namespace;
  }

  get count(): number {
    return this.#namespace.watchers.countOf(this);
  }

  has(path: Path): boolean {
    return this.#namespace.watchers.has(this, path);
  }

  add(path: Path): void {
    this.#namespace.watchers.add(this, path);
  }

  remove(path: Path): void {
    this.#namespace.watchers.remove(this, path);
  }

  stop(): void {
    this.#namespace.watchers.removeAll(this);
  }

  watched(event: LockEvent, lock: SessionLock): void {
    if (this.#channel.unreadBytes > MAX_UNREAD_BYTES) {
      this.#dropped++;
      return;
    }
    this.drained();
    this.#say({
      event,
      id: String(lock.id),
      ...resourceFields(lock.resources),
      client: lock.context.session.client,
      ...wordFields(lock),
    });
  }

  /** The client has caught up: it is told what it missed. */
  drained(): void {
    if (this.#dropped === 0) return;
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.#say({ dropped });
  }

  #say(fields: object): void {
    this.#channel.send(JSON.stringify({ action: 'watch', ...fields }));
  }
}
