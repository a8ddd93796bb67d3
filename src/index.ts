/** The package's public face: the server to be embedded, and the lock table to be used in-process. */

export type { TlsFiles } from './net/listen/listener.ts';
export type { AdminObserver, Eviction } from './protocol/actions/evict.ts';
export { MAX_TOKEN_LENGTH, MIN_TOKEN_LENGTH, type Tokens } from './protocol/auth.ts';
export type { Clock, Timer } from './runtime/clock.ts';
export { DEFAULT_LIMITS, type Limits } from './runtime/limits.ts';
export { type Drained, Server, type ServerCounts } from './server.ts';
export type {
  AuthObserver,
  ClientKind,
  ClientObserver,
  ServerOptions,
} from './server-options.ts';
export type { ReleaseCause } from './session/lock-events.ts';
export type { LockRecord, LockTerms, Owner, Ref, SessionLock } from './session/lock-record.ts';
export type { LockObserver } from './session/session-host.ts';
export type { Lock, LockState } from './table/lock.ts';
export { LockTable, type TableSize } from './table/lock-table.ts';
export type { Path, ReadResource, Resource, WriteResource } from './table/resource.ts';
export { VERSION } from './version.ts';
