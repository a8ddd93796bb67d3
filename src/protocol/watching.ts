/**
 * What one connection watches: the events of the locks at and below its paths, sent as they happen.
 * While the client is slow to read, its events are dropped and counted, and the count is sent once
 * it has caught up. So a slow watcher costs bounded memory, and costs no other watcher an event.
 */
import { idText } from '../runtime/id-text.ts';
import { quotedBytes } from '../runtime/quoted.ts';
import type { Namespace } from '../session/namespace.ts';
import type { WatchedEvent, Watcher } from '../session/watchers.ts';
import type { Path } from '../table/resource.ts';
import type { Channel, ProtocolHost } from './channel.ts';
import { resourcesText, wordsText } from './replies.ts';

/** With more unread bytes than this a client counts as slow. */
const MAX_UNREAD_BYTES = 64 * 1024;

/** The watched paths of one connection. */
export class Watching implements Watcher {
  readonly #channel: Channel;
  readonly #namespace: Namespace;
  readonly #messageOf: (event: WatchedEvent) => string;
  #dropped = 0;

  constructor(
    channel: Channel,
    namespace: Namespace,
    { clock, startedMs }: Pick<ProtocolHost, 'clock' | 'startedMs'>,
  ) {
    this.#channel = channel;
    this.#namespace = namespace;
    this.#messageOf = (event) => messageOf(event, Math.floor(clock.now() - startedMs));
  }

  get count(): number {
    return this.#namespace.watchers.countOf(this);
  }

  has(path: Path): boolean {
    return this.#namespace.watchers.has(this, path);
  }

  /** @returns false if the memory limit is reached */
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
    // All watchers of a namespace use the session protocol, so they can share one message.
    this.#channel.reply(event.message(this.#messageOf), true);
  }

  /** The client has caught up: reports how many events it missed. */
  onWritable(): void {
    if (this.#dropped === 0) return;
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.#channel.reply(`{"action":"watch","dropped":${dropped}}`, true);
  }
}

/**
 * The message for `event`, as a byte string.
 *
 * @param atMs milliseconds since the server started
 */
function messageOf({ event, lock }: WatchedEvent, atMs: number): string {
  const { session } = lock.context;
  return (
    `{"action":"watch","event":"${event}","id":"${idText(lock.id)}","atMs":${atMs},` +
    `${resourcesText(lock.resources)},"client":${quotedBytes(session.client)},` +
    `"sessionId":"${idText(session.id)}"${wordsText(lock)}}`
  );
}
