/**
 * A second, simple implementation of the server: sessions, limits and replies by PROTOCOL.md,
 * without a lock table. The locks of a namespace are in one array in order of arrival; each knows
 * the earlier ones that it conflicts with. Locks are removed at once.
 *
 * It gets the same requests, lost connections and time as the server, and says what the server must
 * send on every connection. Only ids and the names of sessions come from the server.
 */
import assert from 'node:assert/strict';
import type { Timer } from '../../src/runtime/clock.ts';
import type { Limits } from '../../src/runtime/limits.ts';
import type { ReleaseCause } from '../../src/session/lock-events.ts';
import type { Ref } from '../../src/session/lock-record.ts';
import type { Path, Resource } from '../../src/table/resource.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { isPrefix, limitsThatCount, locksConflict } from '../support/lock-model.ts';
import {
  type EvictRequest,
  type ExtendRequest,
  errorGist,
  evictGist,
  extendGist,
  type HelloRequest,
  type InspectRequest,
  type LockRequest,
  type NamespacesRequest,
  type Nonsense,
  type Request,
  SENTENCE,
  stateGist,
  type WatchRequest,
} from './requests.ts';

/** The server's choices that the reference can't predict. */
export interface Issued {
  /** The last lock id. */
  readonly lastId: number;
  /** The last session name. */
  readonly lastName: string;
  /** When, up to `nowMs`, the store was last so slow that no input was read. */
  inputHeldMs(nowMs: number): number;
}

export interface ReferenceNamespace {
  readonly name: string;
  /** In order of arrival. */
  alive: ReferenceLock[];
  readonly sessions: Set<ReferenceSession>;
  readonly watchers: Set<ReferencePeer>;
}

export interface ReferenceSession {
  /** Counts from 1. */
  readonly id: number;
  readonly name: string | undefined;
  readonly namespace: ReferenceNamespace;
  readonly abandonTimeoutMs: number;
  /** It has had a lock: a store knows it. */
  isStored: boolean;
  peer: ReferencePeer | undefined;
  isEnded: boolean;
  abandonTimer: Timer | undefined;
  /** When its last connection was lost. */
  lostMs: number;
  readonly locks: Set<ReferenceLock>;
}

export interface ReferenceLock {
  readonly id: number;
  readonly session: ReferenceSession;
  readonly request: LockRequest;
  readonly resources: readonly Resource[];
  readonly limits: ReadonlyMap<string, number>;
  /** Earlier locks that conflict and are not released. */
  readonly blockers: Set<ReferenceLock>;
  isHeld: boolean;
  /** It was granted after a wait, by this server. */
  isGranted: boolean;
  timer: Timer | undefined;
  /** When its wait or hold ends, by the server's clock; undefined for never. */
  endMs: number | undefined;
}

/** What a store would keep. */
export interface Snapshot {
  /** By the server's clock. */
  readonly nowMs: number;
  readonly sessions: readonly ReferenceSession[];
  readonly locks: readonly ReferenceLock[];
}

/** What a restarted server has chosen. */
export interface Restored {
  /** By the server's clock. */
  readonly clockMs: number;
  readonly lastSessionId: number;
  /** When the wait or hold of a lock ends. */
  endOf(namespace: string, id: number): RestoredEnd | undefined;
}

export interface RestoredEnd {
  readonly isHeld: boolean;
  readonly endMs: number | undefined;
}

/** One connection, as the reference sees it. */
export class ReferencePeer {
  readonly kind: 'session' | 'v1';
  session: ReferenceSession | undefined;
  /** Has sent a JSON object. */
  hasSpoken = false;
  /** A `hello` was refused, and no session has begun since. */
  isHelloRefused = false;
  isEnded = false;
  /** It does not read: events are counted instead of sent. */
  isSlow = false;
  dropped = 0;
  watches: Path[] = [];
  heartbeatMs: number | undefined;
  heartbeat: Timer | undefined;
  /** What the server had to send it since the last comparison, and what the server sent. */
  expected: string[] = [];
  said: string[] = [];

  constructor(kind: 'session' | 'v1') {
    this.kind = kind;
  }
}

type Events = 'enqueued' | 'acquired' | ReleaseCause;

export class ReferenceServer {
  readonly clock = new FakeClock();
  readonly namespaces = new Map<string, ReferenceNamespace>();
  readonly resumable = new Map<string, ReferenceSession>();
  /** Peers with something in `expected`. */
  readonly touched = new Set<ReferencePeer>();
  /** The calls that an observer must have had since the last comparison. */
  observed: string[] = [];
  isDraining = false;
  readonly #limits: Limits;
  readonly #defaultAbandonTimeoutMs: number;
  readonly #issued: Issued;
  #lastSessionId = 0;
  /** What the server's clock reads while `clock` reads 0. */
  #startMs = 0;

  constructor(limits: Limits, defaultAbandonTimeoutMs: number, issued: Issued) {
    this.#limits = limits;
    this.#defaultAbandonTimeoutMs = defaultAbandonTimeoutMs;
    this.#issued = issued;
  }

  connectV1(namespace: string, abandonTimeoutMs: number): ReferencePeer {
    const peer = new ReferencePeer('v1');
    peer.session = this.#open(peer, namespace, abandonTimeoutMs, undefined);
    return peer;
  }

  receive(peer: ReferencePeer, request: Request): void {
    if (peer.isEnded) return;
    this.#heard(peer);
    if (peer.kind === 'v1') this.#receiveV1(peer, request);
    else this.#receive(peer, request);
  }

  lost(peer: ReferencePeer): void {
    peer.isEnded = true;
    this.#leave(peer);
  }

  clientDone({ kind, isEnded, session }: ReferencePeer): void {
    if (kind === 'v1' || isEnded || session === undefined || session.name !== undefined) return;
    if (!session.isEnded) this.#finish(session, 'ended');
  }

  drained(peer: ReferencePeer): void {
    if (peer.dropped === 0) return;
    this.#say(peer, `dropped ${peer.dropped}`);
    peer.dropped = 0;
  }

  get #nowMs(): number {
    return this.#startMs + this.clock.now();
  }

  /** What a store has of it now. */
  snapshot(): Snapshot {
    const namespaces = [...this.namespaces.values()];
    const sessions = namespaces.flatMap((one) => [...one.sessions]);
    const locks = namespaces.flatMap(({ alive }) => alive);
    // Once it has a lock when a batch is sealed.
    const isStored = (session: ReferenceSession): boolean => {
      session.isStored ||= session.locks.size > 0;
      return session.isStored;
    };
    return {
      nowMs: this.#nowMs,
      sessions: sessions.filter(isStored).map((session) => ({ ...session })),
      locks: locks.map((lock) => ({ ...lock, blockers: new Set(lock.blockers) })),
    };
  }

  /** Goes on with what a store had, as the server that took over did. */
  restore({ nowMs, sessions, locks }: Snapshot, restored: Restored): void {
    this.#startMs = restored.clockMs;
    this.#lastSessionId = restored.lastSessionId;
    const byId = new Map<number, ReferenceSession>();
    const alive = new Map<number, ReferenceLock>();
    for (const session of [...sessions].sort((a, b) => a.id - b.id)) {
      const namespace = this.#namespace(session.namespace.name);
      const state = { peer: undefined, abandonTimer: undefined, locks: new Set<ReferenceLock>() };
      byId.set(session.id, { ...session, namespace, ...state });
    }
    for (const session of byId.values()) this.#add(session);
    for (const lock of [...locks].sort((a, b) => a.id - b.id)) {
      const session = byId.get(lock.session.id);
      assert.ok(session !== undefined);
      const blockers = [...lock.blockers].flatMap(({ id }) => alive.get(id) ?? []);
      const copy = { ...lock, session, blockers: new Set(blockers), timer: undefined };
      alive.set(lock.id, copy);
      session.locks.add(copy);
      session.namespace.alive.push(copy);
      const chosen = restored.endOf(session.namespace.name, lock.id);
      // If it has another state, that is what the end of this recovery does to it.
      if (chosen?.isHeld === lock.isHeld) {
        copy.endMs = this.#checkEnd(lock, chosen.endMs, nowMs);
      }
      copy.isGranted = false;
    }
    for (const { alive: those } of this.namespaces.values()) {
      const leaving = those.filter(({ session, isHeld }) => session.name === undefined && !isHeld);
      this.#remove(leaving.reverse(), 'lost');
    }
    for (const session of byId.values()) {
      for (const lock of session.locks) this.#restoreTimer(lock);
    }
    for (const session of byId.values()) this.#awaitResume(session);
  }

  #restoreTimer(lock: ReferenceLock): void {
    const { endMs, isHeld } = lock;
    lock.timer?.cancel();
    const ms = endMs === undefined ? undefined : Math.max(0, endMs - this.#nowMs);
    this.#startTimer(lock, ms, isHeld ? 'expired' : 'timeout');
  }

  /**
   * Waits and holds go on; a hold that began after the lock was stored may begin anew.
   *
   * @param thenMs when the lock was as it is given here
   */
  #checkEnd(
    { id, endMs, isGranted, request }: ReferenceLock,
    chosen: number | undefined,
    thenMs: number,
  ): number | undefined {
    if (endMs === undefined || chosen === undefined) {
      assert.equal(chosen, endMs, `lock ${id} has no end`);
      return chosen;
    }
    const [left, leftThen] = [chosen - this.#nowMs, endMs - thenMs];
    const goesOn = left >= leftThen && chosen < endMs + 2;
    const isAnew = isGranted && left === request.holdMs;
    assert.ok(goesOn || isAnew, `lock ${id} has ${left} ms left instead of ${leftThen}`);
    return chosen;
  }

  /** @param peers all connected peers */
  drain(peers: readonly ReferencePeer[]): void {
    this.isDraining = true;
    for (const peer of peers) if (!peer.isEnded) this.#tellDraining(peer);
    for (const { alive } of [...this.namespaces.values()]) {
      for (const lock of alive.filter(({ isHeld }) => !isHeld).reverse()) {
        const { peer } = lock.session;
        if (peer?.kind === 'v1') {
          this.#say(peer, SENTENCE);
          this.#say(peer, 'end shutting_down');
          peer.isEnded = true;
        } else {
          this.#say(peer, errorGist('lock', lock.request.ref, 'draining'));
        }
        this.#remove([lock], 'draining');
      }
    }
    for (const { sessions } of [...this.namespaces.values()]) {
      for (const session of [...sessions]) this.#dismissIfIdle(session);
    }
  }

  #tellDraining(peer: ReferencePeer): void {
    if (peer.kind === 'session') this.#say(peer, errorGist(undefined, undefined, 'draining'));
  }

  #dismissIfIdle(session: ReferenceSession): void {
    const { peer } = session;
    if (session.isEnded || session.locks.size > 0) return;
    this.#finish(session, 'ended');
    if (peer === undefined || peer.isEnded) return;
    if (peer.kind === 'session') {
      this.#say(peer, errorGist(undefined, undefined, 'shutting_down'));
    }
    this.#end(peer, 'shutting_down');
  }

  #say(peer: ReferencePeer | undefined, gist: string): void {
    if (peer === undefined) return;
    peer.expected.push(gist);
    this.touched.add(peer);
  }

  #fault(peer: ReferencePeer, request: Request, code: string): void {
    this.#say(peer, errorGist(request.action, request.ref, code));
  }

  #receiveV1(peer: ReferencePeer, request: Request): void {
    const [only] = peer.session?.locks ?? [];
    if (request.action === 'lock' && only === undefined) {
      const lock = this.#lock(this.#current(peer), request);
      if (typeof lock !== 'string') {
        this.#say(
          peer,
          stateGist('lock', undefined, lock.id, lock.isHeld ? 'acquired' : 'enqueued'),
        );
        return;
      }
    } else if (request.action === 'release' && only !== undefined) {
      this.#say(peer, stateGist('release', undefined, only.id, 'ready'));
      this.#remove([only], 'released');
      return;
    }
    this.#say(peer, SENTENCE);
    this.#end(peer, 'bad_input');
  }

  #receive(peer: ReferencePeer, request: Request): void {
    const { action } = request;
    if (action !== 'nonsense') peer.hasSpoken = true;
    if (action === 'nonsense') {
      this.#nonsense(peer, request.code, request.readAs);
    } else if (peer.isHelloRefused && action !== 'hello' && action !== 'bye') {
      this.#fault(peer, request, 'hello_refused');
    } else if (action === 'hello') {
      this.#hello(peer, request);
    } else if (action === 'bye') {
      this.#bye(peer, request);
    } else {
      this.#answer(peer, this.#current(peer), request);
    }
  }

  #answer(
    peer: ReferencePeer,
    session: ReferenceSession,
    request: Exclude<Request, HelloRequest | Nonsense>,
  ): void {
    const { action, ref } = request;
    if (action === 'lock') this.#lockOrRepeat(peer, session, request);
    else if (action === 'release') this.#release(peer, session, request.id, ref);
    else if (action === 'extend') this.#extend(peer, session, request);
    else if (action === 'inspect') this.#inspect(peer, session, request);
    else if (action === 'namespaces') this.#listNamespaces(peer, request);
    else if (action === 'watch' || action === 'unwatch') this.#watch(peer, session, request);
    else if (action === 'evict') this.#evict(peer, session, request);
    else if (action === 'stats') this.#say(peer, statsGist(session.namespace, ref));
    else this.#say(peer, `${action} ${ref}`);
  }

  /** A peer without a session begins none by this request. */
  #bye(peer: ReferencePeer, { ref }: Request): void {
    this.#say(peer, `bye ${ref}`);
    if (peer.session !== undefined) this.#finish(peer.session, 'ended');
    this.#end(peer, 'goodbye');
  }

  #nonsense(peer: ReferencePeer, code: string, readAs: string | undefined): void {
    this.#say(peer, errorGist(readAs, undefined, code));
    if (readAs === 'hello' && peer.session === undefined) peer.isHelloRefused = true;
    peer.hasSpoken ||= code !== 'bad_json' && code !== 'bad_utf8' && code !== 'message_too_long';
    if (!peer.hasSpoken || code === 'message_too_long') this.#end(peer, 'bad_input');
  }

  #hello(peer: ReferencePeer, request: HelloRequest): void {
    if (peer.session !== undefined) {
      this.#fault(peer, request, 'hello_not_first');
      return;
    }
    if (request.session === undefined) {
      const abandonTimeoutMs = request.abandonTimeoutMs ?? this.#defaultAbandonTimeoutMs;
      const { lastName } = this.#issued;
      peer.session = this.#open(peer, request.namespace ?? 'default', abandonTimeoutMs, lastName);
    } else {
      const session = this.resumable.get(request.session);
      if (session === undefined) {
        peer.isHelloRefused = true;
        this.#fault(peer, request, 'no_such_session');
        return;
      }
      this.#resume(peer, session);
    }
    peer.isHelloRefused = false;
    const { session } = peer;
    peer.heartbeatMs = request.heartbeatMs;
    this.#heard(peer);
    const locks = request.session === undefined ? undefined : session?.locks.size;
    const names = `${session?.name} ${session?.id} ${session?.namespace.name}`;
    this.#say(peer, `hello ${request.ref} ${names} ${locks}`);
    if (request.session !== undefined) {
      for (const lock of session?.locks ?? [])
        this.#tell(lock, lock.isHeld ? 'acquired' : 'enqueued');
    }
    // All these clients are administrators, so a session can begin.
    if (this.isDraining) this.#tellDraining(peer);
  }

  #resume(peer: ReferencePeer, session: ReferenceSession): void {
    const before = session.peer;
    session.abandonTimer?.cancel();
    session.peer = peer;
    peer.session = session;
    if (before === undefined) return;
    this.#say(before, errorGist(undefined, undefined, 'taken_over'));
    this.#end(before, 'taken_over');
  }

  #lockOrRepeat(peer: ReferencePeer, session: ReferenceSession, request: LockRequest): void {
    const { ref, resources } = request;
    const known = ref === undefined ? undefined : lockByRef(session, ref);
    if (known !== undefined) {
      const isSame = JSON.stringify(known.resources) === JSON.stringify(resources);
      if (isSame) this.#tell(known, known.isHeld ? 'acquired' : 'enqueued');
      else this.#fault(peer, request, 'ref_in_use');
      return;
    }
    const lock = this.#lock(session, request);
    if (lock === 'timeout') {
      this.#say(peer, stateGist('lock', ref, this.#issued.lastId, 'timeout'));
    } else if (typeof lock === 'string') {
      this.#fault(peer, request, lock);
    } else {
      this.#tell(lock, lock.isHeld ? 'acquired' : 'enqueued');
    }
  }

  /** @returns the lock, or the code of the error */
  #lock(session: ReferenceSession, request: LockRequest): ReferenceLock | string {
    const { namespace } = session;
    const { maxLocksPerSession, maxWaitersPerNamespace } = this.#limits;
    if (this.isDraining) return 'draining';
    if (session.locks.size >= maxLocksPerSession) return 'too_many_locks';
    const { resources } = request;
    const id = this.#issued.lastId;
    const blockers = new Set(
      namespace.alive.filter((other) => locksConflict({ id, resources }, other)),
    );
    const limits = limitsThatCount(resources);
    const state = { isHeld: false, isGranted: false, timer: undefined, endMs: undefined };
    const lock = { id, session, request, resources, limits, blockers, ...state };
    namespace.alive.push(lock);
    session.locks.add(lock);
    if (!isFree(lock)) {
      const waiters = namespace.alive.filter((other) => !other.isHeld).length;
      let error: string | undefined;
      if (request.waitMs === 0) error = 'timeout';
      else if (waiters > maxWaitersPerNamespace) error = 'too_many_waiters';
      else if (closesCycle(lock)) error = 'deadlock';
      if (error !== undefined) {
        namespace.alive.pop();
        session.locks.delete(lock);
        return error;
      }
      this.#note('enqueued', lock);
      this.#startTimer(lock, request.waitMs, 'timeout');
      return lock;
    }
    this.#hold(lock);
    return lock;
  }

  #hold(lock: ReferenceLock): void {
    lock.timer?.cancel();
    lock.isHeld = true;
    this.#note('acquired', lock);
    this.#startTimer(lock, lock.request.holdMs, 'expired');
  }

  #startTimer(lock: ReferenceLock, ms: number | undefined, end: 'timeout' | 'expired'): void {
    lock.endMs = ms === undefined ? undefined : this.#nowMs + ms;
    lock.timer =
      ms === undefined
        ? undefined
        : this.clock.setTimer(ms, () => {
            this.#tell(lock, end);
            this.#remove([lock], end);
          });
  }

  #tell(lock: ReferenceLock, state: string): void {
    const { session, request, id } = lock;
    this.#say(session.peer, stateGist('lock', request.ref, id, state));
  }

  #release(
    peer: ReferencePeer,
    session: ReferenceSession,
    id: string | undefined,
    ref: Ref | undefined,
  ): void {
    const lock = ownLock(session, id);
    if (typeof lock === 'string') {
      this.#say(peer, errorGist('release', ref, lock));
    } else {
      this.#say(peer, stateGist('release', ref, lock.id, 'released'));
      this.#remove([lock], 'released');
    }
  }

  #extend(peer: ReferencePeer, session: ReferenceSession, request: ExtendRequest): void {
    const { id, ref, holdMs } = request;
    const lock = ownLock(session, id);
    if (typeof lock === 'string') {
      this.#fault(peer, request, lock);
    } else if (!lock.isHeld) {
      this.#fault(peer, request, 'not_acquired');
    } else {
      lock.timer?.cancel();
      this.#startTimer(lock, holdMs ?? undefined, 'expired');
      this.#say(peer, extendGist(ref, lock.id, holdMs));
    }
  }

  #evict(peer: ReferencePeer, { namespace }: ReferenceSession, request: EvictRequest): void {
    const { ref, id, sessionId } = request;
    const lock = namespace.alive.find((other) => String(other.id) === id);
    const sessions = [...namespace.sessions];
    const victim = lock?.session ?? sessions.find((other) => String(other.id) === sessionId);
    if (victim === undefined) {
      this.#fault(peer, request, id === undefined ? 'no_such_session' : 'no_such_lock');
      return;
    }
    const count = lock === undefined ? victim.locks.size : 1;
    this.#say(peer, evictGist(ref, id, sessionId, count));
    const victimPeer = victim.peer;
    // A v1 client that loses its lock loses its session.
    if (lock !== undefined && victimPeer?.kind !== 'v1') {
      this.#tell(lock, 'evicted');
      this.#remove([lock], 'evicted');
      return;
    }
    victim.isEnded = true;
    if (victimPeer?.kind === 'v1') {
      this.#say(victimPeer, SENTENCE);
      this.#end(victimPeer, 'bad_input');
    } else if (victimPeer !== undefined) {
      this.#say(victimPeer, errorGist(undefined, undefined, 'evicted'));
      this.#end(victimPeer, 'evicted');
    }
    this.#finish(victim, 'evicted');
  }

  #inspect(peer: ReferencePeer, { namespace }: ReferenceSession, request: InspectRequest): void {
    const { ref, max } = request;
    const seen = namespace.alive.slice(0, max);
    for (const { id, isHeld, session } of seen) {
      const { lostMs, abandonTimeoutMs, peer: connected } = session;
      const leftMs = Math.floor(abandonTimeoutMs - (this.clock.now() - lostMs));
      const state = isHeld ? 'acquired' : 'enqueued';
      const gist = `inspect ${ref} ${id} ${state} ${connected === undefined ? leftMs : undefined}`;
      this.#say(peer, gist);
    }
    const held = seen.filter((lock) => lock.isHeld).length;
    const next = namespace.alive.length > max ? String(seen.at(-1)?.id) : undefined;
    const counts = `${held} ${seen.length - held}`;
    this.#say(peer, `inspect ${ref} end ${namespace.name} ${counts} ${next}`);
  }

  #listNamespaces(peer: ReferencePeer, { ref, after = '', max }: NamespacesRequest): void {
    const names = [...this.namespaces.keys()].filter((name) => name > after).sort();
    const seen = names.slice(0, max);
    for (const name of seen) {
      const { alive = [], sessions } = this.namespaces.get(name) ?? {};
      const held = alive.filter((lock) => lock.isHeld).length;
      const counts = `${sessions?.size} ${held} ${alive.length - held}`;
      this.#say(peer, `namespaces ${ref} ${name} ${counts}`);
    }
    this.#say(peer, `namespaces ${ref} end ${names.length > max ? seen.at(-1) : undefined}`);
  }

  #watch(peer: ReferencePeer, { namespace }: ReferenceSession, request: WatchRequest): void {
    const { action, ref, path } = request;
    const key = JSON.stringify(path);
    const others = peer.watches.filter((other) => JSON.stringify(other) !== key);
    if (action === 'watch' && others.length >= this.#limits.maxWatches) {
      this.#fault(peer, request, 'too_many_watches');
      return;
    }
    peer.watches = others;
    if (action === 'watch') peer.watches.push(path);
    namespace.watchers.add(peer);
    this.#say(peer, `${action} ${ref}`);
  }

  /** Removes `locks` together; then the locks that waited only for them are acquired. */
  #remove(locks: readonly ReferenceLock[], cause: ReleaseCause): void {
    const [first] = locks;
    if (first === undefined) return;
    const { namespace } = first.session;
    const gone = new Set(locks);
    namespace.alive = namespace.alive.filter((lock) => !gone.has(lock));
    for (const lock of locks) {
      lock.timer?.cancel();
      lock.session.locks.delete(lock);
      this.#note(cause, lock);
    }
    for (const lock of namespace.alive) {
      if (lock.isHeld) continue;
      for (const other of locks) lock.blockers.delete(other);
      if (!isFree(lock)) continue;
      lock.isGranted = true;
      this.#hold(lock);
      this.#tell(lock, 'acquired');
    }
    if (this.isDraining) this.#dismissIfIdle(first.session);
  }

  #note(event: Events, lock: ReferenceLock): void {
    this.observed.push(`${event} ${lock.id}`);
    const { id: sessionId, namespace } = lock.session;
    const { watchers } = namespace;
    const atMs = Math.floor(this.#nowMs);
    for (const peer of watchers) {
      const isWatched = peer.watches.some((path) =>
        lock.resources.some((resource) => isPrefix(path, resource.path)),
      );
      if (!isWatched) continue;
      if (peer.isSlow) {
        peer.dropped++;
      } else {
        this.drained(peer);
        const word = WATCHED_AS[event] ?? event;
        this.#say(peer, `event ${word} ${lock.id} ${sessionId} ${atMs}`);
      }
    }
  }

  #open(
    peer: ReferencePeer,
    namespaceName: string,
    abandonTimeoutMs: number,
    name: string | undefined,
  ): ReferenceSession {
    const session: ReferenceSession = {
      id: ++this.#lastSessionId,
      name,
      namespace: this.#namespace(namespaceName),
      abandonTimeoutMs,
      isStored: false,
      peer,
      isEnded: false,
      abandonTimer: undefined,
      lostMs: 0,
      locks: new Set(),
    };
    this.#add(session);
    return session;
  }

  #namespace(name: string): ReferenceNamespace {
    let namespace = this.namespaces.get(name);
    if (namespace === undefined) {
      namespace = { name, alive: [], sessions: new Set(), watchers: new Set() };
      this.namespaces.set(name, namespace);
    }
    return namespace;
  }

  #add(session: ReferenceSession): void {
    session.namespace.sessions.add(session);
    if (session.name !== undefined) this.resumable.set(session.name, session);
  }

  #current(peer: ReferencePeer): ReferenceSession {
    peer.session ??= this.#open(peer, 'default', this.#defaultAbandonTimeoutMs, undefined);
    return peer.session;
  }

  #heard(peer: ReferencePeer): void {
    const { heartbeatMs } = peer;
    if (heartbeatMs === undefined) return;
    peer.heartbeat?.cancel();
    const heardMs = this.clock.now();
    const arm = (delayMs: number): void => {
      peer.heartbeat = this.clock.setTimer(delayMs, () => {
        // While input was held, it could not be heard: its time begins anew.
        const nowMs = this.clock.now();
        const leftMs = Math.max(heardMs, this.#issued.inputHeldMs(nowMs)) + heartbeatMs - nowMs;
        if (leftMs > 0) return arm(leftMs);
        this.#say(peer, errorGist(undefined, undefined, 'silent'));
        this.#end(peer, 'silent');
      });
    };
    arm(heartbeatMs);
  }

  #end(peer: ReferencePeer, reason: string): void {
    this.#say(peer, `end ${reason}`);
    this.lost(peer);
  }

  #leave(peer: ReferencePeer): void {
    peer.heartbeat?.cancel();
    const { session } = peer;
    session?.namespace.watchers.delete(peer);
    if (session === undefined || session.isEnded || session.peer !== peer) return;
    session.peer = undefined;
    this.#awaitResume(session);
  }

  #awaitResume(session: ReferenceSession): void {
    session.lostMs = this.clock.now();
    if (session.name === undefined) {
      this.#remove(
        [...session.locks].filter((lock) => !lock.isHeld),
        'lost',
      );
    }
    const isWorthKeeping = session.name !== undefined || session.locks.size > 0;
    if (!isWorthKeeping || session.abandonTimeoutMs === 0) {
      this.#finish(session, 'abandoned');
      return;
    }
    session.abandonTimer = this.clock.setTimer(session.abandonTimeoutMs, () =>
      this.#finish(session, 'abandoned'),
    );
  }

  #finish(session: ReferenceSession, cause: ReleaseCause): void {
    const { namespace, name } = session;
    session.isEnded = true;
    session.peer = undefined;
    session.abandonTimer?.cancel();
    this.#remove([...session.locks], cause);
    if (name !== undefined) this.resumable.delete(name);
    namespace.sessions.delete(session);
    if (namespace.sessions.size === 0) this.namespaces.delete(namespace.name);
  }
}

/** The lock that a request without or with an `id` is about, or the code of the error. */
function ownLock(session: ReferenceSession, id: string | undefined): ReferenceLock | string {
  const locks = [...session.locks];
  const lock = id === undefined ? locks[0] : locks.find((other) => String(other.id) === id);
  if (lock === undefined) return 'no_such_lock';
  return id === undefined && locks.length > 1 ? 'id_needed' : lock;
}

const WATCHED_AS: Readonly<Partial<Record<Events, string>>> = {
  draining: 'released',
  ended: 'released',
  lost: 'abandoned',
};

function lockByRef(session: ReferenceSession, ref: Ref): ReferenceLock | undefined {
  for (const lock of session.locks) if (lock.request.ref === ref) return lock;
  return undefined;
}

function statsGist({ alive, sessions }: ReferenceNamespace, ref: Ref | undefined): string {
  const counts = [0, 0, 0, 0];
  for (const { isHeld, resources } of alive) {
    const at = isHeld ? 0 : 1;
    counts[at] = (counts[at] ?? 0) + 1;
    counts[at + 2] = (counts[at + 2] ?? 0) + resources.length;
  }
  return `stats ${ref} ${sessions.size} ${counts.join(' ')}`;
}

function isFree(lock: ReferenceLock): boolean {
  return lock.blockers.size === 0 && (lock.limits.size === 0 || isAdmitted(lock, () => true));
}

/** Whether the limits admit `lock`, counting only the limited reads that `counts` accepts. */
function isAdmitted(lock: ReferenceLock, counts: (other: ReferenceLock) => boolean): boolean {
  return [...lock.limits.keys()].every((path) => isAdmittedAt(path, lock, counts));
}

function isAdmittedAt(
  path: string,
  lock: ReferenceLock,
  counts: (other: ReferenceLock) => boolean,
): boolean {
  const line = lineUpTo(lock, path).filter((other) => other === lock || counts(other));
  return line.every((other, at) => at < (other.limits.get(path) ?? 0));
}

function lineUpTo(lock: ReferenceLock, path: string): ReferenceLock[] {
  const { alive } = lock.session.namespace;
  return alive.filter((other) => other.id <= lock.id && other.limits.has(path));
}

/** The key of an owner: owners are per session. */
function ownerOf({ session, request }: ReferenceLock): string | undefined {
  if (request.owner === undefined) return undefined;
  sessionNumbers.set(session, sessionNumbers.get(session) ?? ++lastSessionNumber);
  return `${sessionNumbers.get(session)} ${request.owner}`;
}

const sessionNumbers = new WeakMap<ReferenceSession, number>();
let lastSessionNumber = 0;

/**
 * Whether the owner of `lock`, the newest, waits for itself through owners that cannot move: all of
 * their waits would remain even if all other owners released their locks.
 */
function closesCycle(lock: ReferenceLock): boolean {
  const asker = ownerOf(lock);
  if (asker === undefined) return false;
  const waits = new Map<string, ReferenceLock[]>();
  for (const other of lock.session.namespace.alive) {
    const owner = ownerOf(other);
    if (owner === undefined || other.isHeld) continue;
    waits.set(owner, [...(waits.get(owner) ?? []), other]);
  }
  keepStuck(waits);
  const reached = new Set<string>();
  const toVisit = [asker];
  for (const owner of toVisit) {
    for (const other of (waits.get(owner) ?? []).flatMap(inTheWayOf)) {
      const next = ownerOf(other);
      if (next === undefined || !waits.has(next) || reached.has(next)) continue;
      reached.add(next);
      toVisit.push(next);
    }
  }
  return reached.has(asker);
}

/** Reduces the owners to those that cannot move, each with its waits. */
function keepStuck(waits: Map<string, ReferenceLock[]>): void {
  const isOfStuck = (other: ReferenceLock): boolean => waits.has(ownerOf(other) ?? '');
  const isStuck = (wait: ReferenceLock): boolean =>
    [...wait.blockers].some(isOfStuck) || !isAdmitted(wait, isOfStuck);
  for (let before = -1; before !== waits.size; ) {
    before = waits.size;
    for (const [owner, locks] of waits) if (!locks.every(isStuck)) waits.delete(owner);
  }
}

function inTheWayOf(wait: ReferenceLock): ReferenceLock[] {
  const inLine = [...wait.limits.keys()]
    .filter((path) => !isAdmittedAt(path, wait, () => true))
    .flatMap((path) => lineUpTo(wait, path));
  return [...wait.blockers, ...inLine].filter((other) => other !== wait);
}
