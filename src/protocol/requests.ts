/** What a client can ask in the session protocol, once decoded: nothing past this is checked again. */
import type { LockTerms, Ref } from '../session/lock-record.ts';
import type { Path, Resource } from '../table/resource.ts';

export interface HelloRequest {
  readonly action: 'hello';
  readonly ref: Ref | undefined;
  /** The name of a session to resume; then nothing else of it can be chosen but the heartbeat. */
  readonly session: string | undefined;
  readonly token: string | undefined;
  readonly namespace: string | undefined;
  readonly abandonTimeoutMs: number | undefined;
  readonly heartbeatMs: number | undefined;
  readonly label: string | undefined;
}

export interface LockRequest {
  readonly action: 'lock';
  readonly resources: readonly Resource[];
  readonly terms: LockTerms;
}

export interface ReleaseRequest {
  readonly action: 'release';
  readonly ref: Ref | undefined;
  readonly id: number | undefined;
}

export interface InspectRequest {
  readonly action: 'inspect';
  readonly ref: Ref | undefined;
  readonly path: Path;
  /** One lock only. */
  readonly id: number | undefined;
  /** Goes on after the lock with that id. */
  readonly after: number;
  /** Locks in the answer at most. */
  readonly max: number;
}

/** Takes away one lock, or ends one session: one of the two ids is there. */
export interface EvictRequest {
  readonly action: 'evict';
  readonly ref: Ref | undefined;
  readonly id: number | undefined;
  readonly sessionId: number | undefined;
}

export interface WatchRequest {
  readonly action: 'watch' | 'unwatch';
  readonly ref: Ref | undefined;
  readonly path: Path;
}

export interface ByeRequest {
  readonly action: 'bye';
  readonly ref: Ref | undefined;
}

export interface PlainRequest {
  readonly action: 'ping' | 'stats' | 'help';
  readonly ref: Ref | undefined;
}

export type Request =
  | HelloRequest
  | LockRequest
  | ReleaseRequest
  | InspectRequest
  | WatchRequest
  | EvictRequest
  | ByeRequest
  | PlainRequest;

export const ACTIONS = [
  'hello',
  'lock',
  'release',
  'inspect',
  'watch',
  'unwatch',
  'evict',
  'ping',
  'stats',
  'help',
  'bye',
] as const;
export type Action = (typeof ACTIONS)[number];
