/**
 * Watches, as async iterators. When the connection breaks, the paths are watched again on the next one;
 * what happened in between is reported as dropped.
 */
import { ProtocolError, RefusedError } from './errors.ts';
import { decodeLabels, decodeResources, type Labels } from './lock-fields.ts';
import { isCount, type Reply } from './replies.ts';
import type { Request } from './requests.ts';
import type { Path, Resource } from './resources.ts';

const KINDS = [
  'enqueued',
  'acquired',
  'released',
  'timeout',
  'expired',
  'evicted',
  'abandoned',
] as const;

/** A lock has changed. */
export interface LockEvent extends Labels {
  readonly event: (typeof KINDS)[number];
  readonly id: string;
  /** When it happened: whole milliseconds since the server started; see `watch` in PROTOCOL.md. */
  readonly atMs: number;
  /** Up to ten of its resources; `moreResources` is the number of others. */
  readonly resources: readonly Resource[];
  readonly moreResources: number;
  /** The address of its client. */
  readonly client: string;
  /** The id of its session, which an administrator can `evict`. */
  readonly sessionId: string;
}

/** `count` events were missed; undefined if the client was disconnected. */
export interface DroppedEvent {
  readonly event: 'dropped';
  readonly count: number | undefined;
}

export type WatchEvent = LockEvent | DroppedEvent;

/** Events buffered for a slow reader; further ones are counted as dropped. */
const MAX_WAITING = 10_000;

export interface WatchHost {
  readonly isReady: boolean;
  nextRef(): number;
  send(request: Request): void;
  /** The number of watches has changed. */
  changed(): void;
}

export class Watches {
  readonly #host: WatchHost;
  readonly #subscriptions = new Set<Subscription>();
  #hasBegun = false;

  constructor(host: WatchHost) {
    this.#host = host;
  }

  get isBusy(): boolean {
    return this.#subscriptions.size > 0;
  }

  watch(path: Path, signal: AbortSignal | undefined): AsyncIterableIterator<WatchEvent> {
    const subscription = new Subscription(path, () => this.#end(subscription));
    if (signal?.aborted) {
      subscription.fail(signal.reason);
      return subscription;
    }
    if (signal !== undefined) subscription.listen(signal);
    const isNew = !this.#isWatched(path);
    this.#subscriptions.add(subscription);
    this.#host.changed();
    if (isNew && this.#host.isReady) this.#ask('watch', path);
    return subscription;
  }

  /** There is a new connection, on which nothing is watched yet. */
  begin(): void {
    const paths = new Map<string, Path>();
    for (const subscription of this.#subscriptions) {
      const { path } = subscription;
      paths.set(JSON.stringify(path), path);
      if (this.#hasBegun) subscription.push({ event: 'dropped', count: undefined });
    }
    this.#hasBegun = true;
    for (const path of paths.values()) this.#ask('watch', path);
  }

  heard({ fields }: Reply): ProtocolError | undefined {
    const event = decodeEvent(fields);
    if (event === undefined || event instanceof ProtocolError) return event;
    for (const subscription of [...this.#subscriptions]) {
      if (concerns(event, subscription.path)) subscription.push(event);
    }
    return undefined;
  }

  close(error: Error): void {
    for (const subscription of [...this.#subscriptions]) subscription.fail(error);
  }

  #isWatched(path: Path): boolean {
    return [...this.#subscriptions].some((other) => isSamePath(other.path, path));
  }

  #end(subscription: Subscription): void {
    if (!this.#subscriptions.delete(subscription)) return;
    this.#host.changed();
    const { path } = subscription;
    if (this.#host.isReady && !this.#isWatched(path)) this.#ask('unwatch', path);
  }

  #ask(action: 'watch' | 'unwatch', path: Path): void {
    const ref = this.#host.nextRef();
    this.#host.send({
      ref,
      action,
      message: () => ({ action, ref, path }),
      answered: ({ error }) => {
        if (error === undefined || action === 'unwatch') return 'done';
        const refusal = new RefusedError(error.code, error.message);
        for (const subscription of [...this.#subscriptions]) {
          if (isSamePath(subscription.path, path)) subscription.fail(refusal);
        }
        return 'done';
      },
    });
  }
}

interface Waiter {
  resolve(result: IteratorResult<WatchEvent>): void;
  reject(reason: unknown): void;
}

const DONE = { done: true, value: undefined } as const;

class Subscription implements AsyncIterableIterator<WatchEvent> {
  readonly path: Path;
  readonly #ended: () => void;
  #events: WatchEvent[] = [];
  /** What came after those and was not buffered. */
  #dropped: DroppedEvent | undefined;
  #waiters: Waiter[] = [];
  #end: { readonly error: unknown } | 'returned' | undefined;
  #stopListening: (() => void) | undefined;

  constructor(path: Path, ended: () => void) {
    this.path = path;
    this.#ended = ended;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<WatchEvent> {
    return this;
  }

  next(): Promise<IteratorResult<WatchEvent>> {
    const event = this.#take();
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    if (this.#end === undefined) {
      return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
    }
    if (this.#end === 'returned') return Promise.resolve(DONE);
    const { error } = this.#end;
    // The error is reported once; then it is over.
    this.#end = 'returned';
    return Promise.reject(error);
  }

  return(): Promise<IteratorResult<WatchEvent>> {
    this.#events = [];
    this.#dropped = undefined;
    this.#finish('returned');
    return Promise.resolve(DONE);
  }

  listen(signal: AbortSignal): void {
    const listener = (): void => this.fail(signal.reason);
    signal.addEventListener('abort', listener, { once: true });
    this.#stopListening = () => signal.removeEventListener('abort', listener);
  }

  push(event: WatchEvent): void {
    if (this.#end !== undefined) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) waiter.resolve({ done: false, value: event });
    else if (this.#events.length < MAX_WAITING) this.#events.push(event);
    else this.#drop(event);
  }

  fail(error: unknown): void {
    this.#finish({ error });
  }

  #drop(event: WatchEvent): void {
    const before = this.#dropped === undefined ? 0 : this.#dropped.count;
    const more = event.event === 'dropped' ? event.count : 1;
    const isKnown = before !== undefined && more !== undefined;
    this.#dropped = { event: 'dropped', count: isKnown ? before + more : undefined };
  }

  #take(): WatchEvent | undefined {
    const event = this.#events.shift() ?? this.#dropped;
    if (event === this.#dropped) this.#dropped = undefined;
    return event;
  }

  #finish(end: { readonly error: unknown } | 'returned'): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#stopListening?.();
    const [first, ...others] = this.#waiters;
    this.#waiters = [];
    if (end === 'returned' || first === undefined) first?.resolve(DONE);
    else {
      this.#end = 'returned';
      first.reject(end.error);
    }
    for (const waiter of others) waiter.resolve(DONE);
    this.#ended();
  }
}

/**
 * @param fields of a message with the action `watch` that is no answer
 * @returns undefined for an event that this version does not know: that of a later server
 */
export function decodeEvent(fields: Reply['fields']): WatchEvent | ProtocolError | undefined {
  const bad = new ProtocolError('a watch event has a missing or invalid field');
  const { dropped, event, id, atMs, client, sessionId } = fields;
  if (dropped !== undefined) {
    return isCount(dropped) ? { event: 'dropped', count: dropped } : bad;
  }
  const kind = KINDS.find((known) => known === event);
  if (kind === undefined && typeof event === 'string') return undefined;
  const resources = decodeResources(fields);
  const labels = decodeLabels(fields);
  if (resources === undefined || labels === undefined || kind === undefined) return bad;
  if (typeof id !== 'string' || !isCount(atMs)) return bad;
  if (typeof client !== 'string' || typeof sessionId !== 'string') return bad;
  return { event: kind, id, atMs, ...resources, client, sessionId, ...labels };
}

/**
 * Whether an event concerns `path`: the server doesn't say for which of several paths it was sent. One
 * whose resources are not all listed may concern any.
 */
function concerns(event: WatchEvent, path: Path): boolean {
  if (event.event === 'dropped' || event.moreResources > 0) return true;
  return event.resources.some((resource) => path.every((name, i) => resource.path[i] === name));
}

function isSamePath(a: Path, b: Path): boolean {
  return a.length === b.length && a.every((segment, i) => segment === b[i]);
}
