/** Every bound that the server puts on what a client may ask or cost. Each is an option. */
import { getHeapStatistics } from 'node:v8';

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
  /**
   * Bytes that all connections together make the server keep: unread output, and lines and messages
   * that have not ended. Unless it is chosen, it is `roomForBuffers` where that is less.
   */
  readonly maxBufferBytes: number;
  readonly maxConnections: number;
  /** Sessions of the whole server, those that lost their connection too. */
  readonly maxSessions: number;
  /**
   * Bytes that all locks, sessions and watches of the server take, by the estimates of memory.ts.
   * Unless it is chosen, it is `roomForLocks` where that is less.
   */
  readonly maxLockBytes: number;
  /** Milliseconds for which a client may have its locks outlive its connection. */
  readonly maxAbandonTimeoutMs: number;
  /**
   * Milliseconds that a program has to begin: to say something valid where a token is wanted, for the
   * handshake of TLS, and for the head of each HTTP request.
   */
  readonly firstMessageMs: number;
  /** Milliseconds that a new connection has to say something valid where no token is wanted. */
  readonly firstLineMs: number;
}

/** Characters of a `ref`, an owner or a label. No option, for nobody needs more. */
export const MAX_NAME_LENGTH = 256;

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
  maxBufferBytes: 512 * 1024 * 1024,
  maxConnections: 100_000,
  maxSessions: 200_000,
  maxLockBytes: 1024 * 1024 * 1024,
  maxAbandonTimeoutMs: Number.MAX_SAFE_INTEGER,
  firstMessageMs: 10_000,
  firstLineMs: 60_000,
};

/** What V8 keeps of its heap for objects that are new, which locks that are kept are not. */
const YOUNG_GENERATION_BYTES = 48 * 1024 * 1024;

/** With less no lock could be had. */
export const MIN_LOCK_BYTES = 64 * 1024;

/**
 * The most bytes that the locks should take of a heap: half of what it has for what is kept. The rest
 * is for sessions, connections, messages on their way, and for collecting garbage in time.
 *
 * @param heapBytes the most that the heap may have; by default that of this process
 */
export function roomForLocks(heapBytes: number = getHeapStatistics().heap_size_limit): number {
  return Math.max(MIN_LOCK_BYTES, Math.floor((heapBytes - YOUNG_GENERATION_BYTES) / 2));
}

/** With less no line or answer of any length could pass. */
export const MIN_BUFFER_BYTES = 64 * 1024;

/** The most bytes that buffers should take of a heap: half of what the locks leave. */
export function roomForBuffers(heapBytes?: number): number {
  return Math.max(MIN_BUFFER_BYTES, Math.floor(roomForLocks(heapBytes) / 2));
}

/** `DEFAULT_LIMITS` as they are in this process, whose heap may be too small for them. */
export function usualLimits(): Limits {
  return {
    ...DEFAULT_LIMITS,
    maxLockBytes: Math.min(DEFAULT_LIMITS.maxLockBytes, roomForLocks()),
    maxBufferBytes: Math.min(DEFAULT_LIMITS.maxBufferBytes, roomForBuffers()),
  };
}
