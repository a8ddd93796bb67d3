/**
 * What a connection watches. Events go out as they happen, unless the client is slow to read: then
 * they are counted instead, and it is told how many it missed as soon as it has caught up. So a slow
 * watcher costs a bounded amount, and nobody but itself an event.
 */

import { toByteString } from '../runtime/byte-string.ts';
import type { Limits } from '../runtime/limits.ts';
import type { Namespace } from '../session/namespace.ts';
import type { WatchedEvent, Watcher } from '../session/watchers.ts';
import type { Path } from '../table/resource.ts';
import type { Answers } from './answers.ts';
import type { Channel } from './channel.ts';
import { RequestError, serverFull } from './errors.ts';
import { resourceFields, wordFields } from './lock-fields.ts';
import type { WatchRequest } from './requests.ts';

export function answerWatch(
  { action, ref, path }: WatchRequest,
  watching: Watching,
  limits: Limits,
  answers: Answers,
): void {
  const { maxWatches } = limits;
  const isNew = action === 'watch' && !watching.has(path);
  if (isNew && watching.count >= maxWatches) {
    const message = `this connection watches ${maxWatches} paths, as many as are allowed; unwatch one first`;
    answers.error(action, ref, new RequestError('too_many_watches', message));
    return;
  }
  if (action === 'unwatch') {
    watching.remove(path);
  } else if (!watching.add(path)) {
    answers.error(action, ref, serverFull(limits));
    return;
  }
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

  /** @returns false if there is no memory for it */
  add(path: Path): boolean {
    return this.#namespace.watchers.add(this, path);
  }

  remove(path: Path): void {
    this.#namespace.watchers.remove(this, path);
  }

  stop(): void {
    this.#namespace.watchers.removeAll(this);
  }

  watched(event: WatchedEvent): void {
    if (this.#channel.unreadBytes > MAX_UNREAD_BYTES) {
      this.#dropped++;
      return;
    }
    this.onWritable();
    // All watchers of a namespace speak the session protocol: one message does for all.
    event.message ??= messageOf(event);
    this.#channel.sendShared(event.message);
  }

  /** The client has caught up: it is told what it missed. */
  onWritable(): void {
    if (this.#dropped === 0) return;
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.#channel.sendShared(toByteString(JSON.stringify({ action: 'watch', dropped })));
  }
}

/** The message for `event`, as a byte string. */
function messageOf({ event, lock }: WatchedEvent): string {
  return toByteString(
    JSON.stringify({
      action: 'watch',
      event,
      id: String(lock.id),
      ...resourceFields(lock.resources),
      client: lock.context.session.client,
      ...wordFields(lock),
    }),
  );
}
