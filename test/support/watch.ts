/** Lets a test wait until the server has noticed an event, such as a disconnected client. */
import type { ClientObserver } from '../../src/net/listen/clients.ts';
import type { ReleaseCause } from '../../src/session/lock-events.ts';
import type { SessionLock } from '../../src/session/lock-record.ts';
import type { LockObserver } from '../../src/session/session-host.ts';
import { Changes } from './changes.ts';

export type WatchedEvent = 'connected' | 'disconnected' | 'enqueued' | 'acquired' | ReleaseCause;

/** Counts the calls of the server's observers, by event; for a release, that is its cause. */
export class Watch implements ClientObserver, LockObserver {
  readonly #seen = new Map<WatchedEvent, number>();
  readonly #changes = new Changes();

  connected(): void {
    this.#note('connected');
  }

  disconnected(): void {
    this.#note('disconnected');
  }

  enqueued(): void {
    this.#note('enqueued');
  }

  acquired(): void {
    this.#note('acquired');
  }

  released(_lock: SessionLock, cause: ReleaseCause): void {
    this.#note(cause);
  }

  /** How often `event` has occurred so far. */
  count(event: WatchedEvent): number {
    return this.#seen.get(event) ?? 0;
  }

  /** Waits until `event` has occurred `count` times in total. */
  until(event: WatchedEvent, count = 1): Promise<void> {
    return this.#changes.until(() => this.count(event) >= count);
  }

  #note(event: WatchedEvent): void {
    this.#seen.set(event, this.count(event) + 1);
    this.#changes.notify();
  }
}
