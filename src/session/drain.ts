/**
 * Draining: the server is about to stop, and lets those finish who hold locks. While it is on there
 * are no new sessions and no new locks, nothing waits, and every session holds at least one lock:
 * one that has released its last ends. So it is over when there is no session any more.
 */
import type { Namespaces } from './namespace.ts';

export class Drain {
  #isOn = false;

  /** Whether it has begun; it never goes back. */
  get isOn(): boolean {
    return this.#isOn;
  }

  /** Takes what waits out of its queues and ends the sessions that hold nothing; each peer hears. */
  begin(namespaces: Namespaces): void {
    this.#isOn = true;
    for (const { table, sessions } of [...namespaces]) {
      // A lock waits for earlier ones only: newest first, none lets another one through.
      for (const lock of [...table.findLocks([])].map((match) => match.lock).reverse()) {
        if (lock.state === 'enqueued') lock.context.session.turnAway(lock);
      }
      for (const session of [...sessions]) if (session.locks.size === 0) session.dismiss();
    }
  }
}
