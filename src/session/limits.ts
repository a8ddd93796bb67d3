/** Every bound that the server puts on what a client may ask or cost. Each is an option. */

export interface Limits {
  /** Bytes in one line, without its line feed, or in one WebSocket message. */
  readonly maxMessageBytes: number;
  /** Frames that one WebSocket message may be cut into. */
  readonly maxFragments: number;
  readonly maxResourcesPerLock: number;
  readonly maxSegmentsPerPath: number;
  /** Bytes of UTF-8 in one segment, or in the name of a namespace. */
  readonly maxSegmentBytes: number;
  /** Locks of one session, held or enqueued. */
  readonly maxLocksPerSession: number;
  /** Locks of one namespace that are enqueued. */
  readonly maxWaitersPerNamespace: number;
  /** Paths that one connection may watch. */
  readonly maxWatches: number;
  /** Bytes waiting for one peer to read them, before its connection is cut. */
  readonly maxUnreadBytes: number;
  readonly maxConnections: number;
  /** Sessions of the whole server, those that lost their connection too. */
  readonly maxSessions: number;
  /** Bytes that all locks of the server take, by the estimate of `lockBytes`. */
  readonly maxLockBytes: number;
  /** Milliseconds for which a client may have its locks outlive its connection. */
  readonly maxAbandonTimeoutMs: number;
  /** Milliseconds that a new connection has to say something valid, and HTTP each of its requests. */
  readonly firstMessageMs: number;
}

export const DEFAULT_LIMITS: Limits = {
  maxMessageBytes: 1024 * 1024,
  maxFragments: 1024,
  maxResourcesPerLock: 1000,
  maxSegmentsPerPath: 100,
  maxSegmentBytes: 1024,
  maxLocksPerSession: 10_000,
  maxWaitersPerNamespace: 1_000_000,
  maxWatches: 100,
  maxUnreadBytes: 16 * 1024 * 1024,
  maxConnections: 100_000,
  maxSessions: 200_000,
  maxLockBytes: 1024 * 1024 * 1024,
  maxAbandonTimeoutMs: Number.MAX_SAFE_INTEGER,
  firstMessageMs: 10_000,
};
