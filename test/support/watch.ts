/** Lets a test wait until the server itself has noticed something, such as a client that is gone. */
import type { ClientObserver } from '../../src/server-options.ts';
import type { ReleaseCause } from '../../src/session/lock-events.ts';
import type { SessionLock } from '../../src/session/lock-record.ts';
import type { LockObserver } from '../../src/session/session-host.ts';
import { Changes } from './changes.ts';

export type WatchedEvent = 'connected' | 'disconnected' | 'enqueued' | 'acquired' | ReleaseCause;

/** Counts what the server tells its observers; of a release, the cause is the event. */
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

  /** How often `event` was seen so far. */
  count(event: WatchedEvent): number {
    return this.#seen.get(event) ?? 0;
  }

  /** Waits until `event` has been seen `count` times in all. */
  until(event: WatchedEvent, count = 1): Promise<void> {
    return this.#changes.until(() => this.count(event) >= count);
  }

  #note(event: WatchedEvent): void {
    this.#seen.set(event, this.count(event) + 1);
    this.#changes.notify();
  }
}
