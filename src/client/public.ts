/** What both entry points export, besides `connect`. */
export type { Client, EvictTarget, WatchOptions } from './client.ts';
export {
  ClientClosedError,
  type ClientErrorCode,
  DeadlockError,
  type DeadlockStep,
  LockLostError,
  LockTimeoutError,
  LocktopusError,
  type LocktopusErrorCode,
  ProtocolError,
  RefusedError,
  UnreachableError,
} from './errors.ts';
export type { ClientEvents, EventHandler } from './events.ts';
export type { HeldLock } from './held-lock.ts';
export type {
  Blocker,
  InspectedLock,
  InspectOptions,
  ListedNamespace,
  Stats,
} from './inspect.ts';
export type {
  ClientOptions,
  LockOptions,
  RequestOptions,
  WebSocketConstructor,
} from './options.ts';
export {
  limited,
  type Path,
  type ReadResource,
  type Resource,
  type Resources,
  read,
  type Segment,
  type WriteResource,
  write,
} from './resources.ts';
export type { DroppedEvent, LockEvent, WatchEvent } from './watch.ts';
