/**
 * The table of lock events. `watch` reports each event by the word in `watched`; an event that ends
 * a lock is also the cause by which metrics count it.
 */

interface LockEventFacts {
  /** The `event` in the messages of `watch`. */
  readonly watched: string;
  readonly endsLock: boolean;
  readonly meaning: string;
}

/** The rows repeat the table of PROTOCOL.md, section 4, word for word. */
export const LOCK_EVENTS = {
  enqueued: {
    watched: 'enqueued',
    endsLock: false,
    meaning: 'it waits for others',
  },
  acquired: {
    watched: 'acquired',
    endsLock: false,
    meaning: 'it is held, at once or after a wait',
  },
  released: {
    watched: 'released',
    endsLock: true,
    meaning: 'its client released it',
  },
  timeout: {
    watched: 'timeout',
    endsLock: true,
    meaning: 'it waited as long as its `waitMs`',
  },
  expired: {
    watched: 'expired',
    endsLock: true,
    meaning: 'it was held as long as its `holdMs`',
  },
  evicted: {
    watched: 'evicted',
    endsLock: true,
    meaning: 'an administrator took it away, or ended its session',
  },
  ended: {
    watched: 'released',
    endsLock: true,
    meaning: "its session ended by `bye` or by the server's end",
  },
  lost: {
    watched: 'abandoned',
    endsLock: true,
    meaning: 'it waited when the connection of a session without a name was lost',
  },
  abandoned: {
    watched: 'abandoned',
    endsLock: true,
    meaning: 'its session was lost and not resumed within the abandon timeout',
  },
  draining: {
    watched: 'released',
    endsLock: true,
    meaning: 'it waited when the server began to drain',
  },
} as const satisfies Record<string, LockEventFacts>;

export type LockEvent = keyof typeof LOCK_EVENTS;

/** An `event` in the messages of `watch`. */
export type WatchedWord = (typeof LOCK_EVENTS)[LockEvent]['watched'];

/** Why a lock has ended: the events that end locks. */
export type ReleaseCause = {
  [E in LockEvent]: (typeof LOCK_EVENTS)[E]['endsLock'] extends true ? E : never;
}[LockEvent];

export const RELEASE_CAUSES: readonly ReleaseCause[] = (
  Object.keys(LOCK_EVENTS) as LockEvent[]
).filter((event): event is ReleaseCause => LOCK_EVENTS[event].endsLock);
