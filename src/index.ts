/**
 * The package's public API: the server, for embedding, with its store, or as one of several; and the lock table, for
 * in-process use.
 */

export { type CellObserver, CellServer, type CellServerOptions } from './cell-server.ts';
export type { RejectedHeader } from './net/http/origin-policy.ts';
export type { ClientKind, ClientObserver } from './net/listen/clients.ts';
export type { TlsFiles } from './net/listen/listener.ts';
export { MAX_TOKEN_LENGTH, MIN_TOKEN_LENGTH, type Tokens } from './protocol/auth.ts';
export type { AdminObserver, Eviction } from './protocol/channel.ts';
export type { Clock, Timer } from './runtime/clock.ts';
export { DEFAULT_LIMITS, type Limits } from './runtime/limits.ts';
export { type Drained, Server, type ServerCounts } from './server.ts';
export type { AuthObserver, ServerOptions, StoreObserver } from './server-options.ts';
export type { ReleaseCause } from './session/lock-events.ts';
export type { LockRecord, LockTerms, Owner, Ref, SessionLock } from './session/lock-record.ts';
export type { EndedLock, LockObserver, SessionObserver } from './session/session-host.ts';
export type { SlowLock } from './session/slow-locks.ts';
export { DataDirectory } from './store/data-dir.ts';
export type { EtcdError, EtcdFailure } from './store/etcd-error.ts';
export type { EtcdOptions, EtcdUser } from './store/etcd-gateway.ts';
export type { Recovered } from './store/persistence.ts';
export { type Store, StoreError } from './store/store.ts';
export type { Lock, LockState } from './table/lock.ts';
export { LockTable } from './table/lock-table.ts';
export type { Path, ReadResource, Resource, TableSize, WriteResource } from './table/resource.ts';
export { VERSION } from './version.ts';
