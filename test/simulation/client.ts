/**
 * A simulated client: checks what it receives against its requests. It relies on the protocol's
 * promises as a real client would, and knows of the server only what it reads.
 *
 *  - Answers come in the order of requests, each with its action and ref.
 *  - A lock goes enqueued -> acquired -> released, expired or evicted, or from enqueued to timeout,
 *    released or evicted; after its end no message is about it.
 *  - No message is about locks that it does not have.
 *  - After a resume, what it held is still held.
 *
 * Why not the library's: it sends nonsense, reuses refs, retries what it has, stalls and speaks v1, and
 * sees every message in its order. The library has a simulation of its own in test/client.
 */
import assert from 'node:assert/strict';
import type { Reply } from '../support/line-client.ts';
import type { Belief, Ledger, SessionView } from './ledger.ts';
import type { ExtendRequest, HelloRequest, LockRequest, Request } from './requests.ts';
import type { Wire } from './wire.ts';

/** A lock as its client knows it. */
export interface LockView {
  readonly id: string;
  /** The request; unknown if it had no ref and its reply was lost. */
  readonly request: LockRequest | undefined;
  /** Its hold does not end before this. */
  untilMs: number;
  state: 'enqueued' | 'acquired';
  /** It has sent `release` on this wire: whatever it reads now, it no longer holds the lock. */
  isReleasing: boolean;
  belief: Belief | undefined;
}

interface Asked<R extends Request = Request> {
  readonly request: R;
  readonly atMs: number;
}

/** Errors that are no replies: all but `draining` end the connection. */
const FAREWELLS: ReadonlySet<unknown> = new Set([
  'taken_over',
  'silent',
  'evicted',
  'draining',
  'shutting_down',
  'restarting',
]);

/** Actions with an answer of several messages, the last of which says so. */
const LISTS: ReadonlySet<unknown> = new Set(['inspect', 'namespaces']);

export class SimulatedClient {
  readonly name: string;
  readonly kind: 'session' | 'v1';
  readonly #ledger: Ledger;
  readonly #nowMs: () => number;
  wire: Wire | undefined;
  /** It neither reads nor writes. */
  isStalled = false;
  sessionName: string | undefined;
  session: SessionView | undefined;
  readonly locks = new Map<string, LockView>();
  /** Requests with a ref, as long as they may be worth a retry. */
  readonly asked = new Map<number, Asked<LockRequest>>();
  /** Names of sessions that the server has called unknown. */
  readonly endedNames: string[] = [];
  /** Sent on this wire and not answered. */
  #unanswered: Asked[] = [];
  /** Lines left of the reply to a resume, and the ids that were in it so far. */
  #listing: { left: number; readonly ids: Set<string> } | undefined;
  #hasSaidBye = false;
  /** Refs of two different requests: it is uncertain which of them has the lock. */
  readonly #ambiguousRefs = new Set<number>();
  /** Ids of locks that have ended. */
  readonly #finished = new Set<string>();

  constructor(name: string, kind: 'session' | 'v1', ledger: Ledger, nowMs: () => number) {
    this.name = name;
    this.kind = kind;
    this.#ledger = ledger;
    this.#nowMs = nowMs;
  }

  /** Continues on a new wire. */
  connect(wire: Wire): void {
    this.wire = wire;
    this.isStalled = false;
    this.#unanswered = [];
    this.#listing = undefined;
    this.#hasSaidBye = false;
    for (const lock of this.locks.values()) lock.isReleasing = false;
  }

  /**
   * Another session begins on its wire. It no longer deals with the locks of the previous one, but
   * may believe for a while that it holds them.
   */
  begin(session: SessionView): void {
    assert.ok(this.wire !== undefined);
    this.#forget();
    this.session = session;
    this.wire.session = session;
  }

  /** Whether it waits to learn if its session still exists. */
  get isResuming(): boolean {
    return this.#unanswered.some(({ request }) => isResume(request)) || this.#isListing;
  }

  /** Whether it waits for any reply. */
  get isWaiting(): boolean {
    return this.#unanswered.length > 0;
  }

  /** Whether it has said goodbye on this wire. */
  get isLeaving(): boolean {
    return this.#hasSaidBye;
  }

  get #isListing(): boolean {
    return this.#listing !== undefined && this.#listing.left > 0;
  }

  say(request: Request): void {
    assert.ok(this.wire !== undefined);
    const asked = { request, atMs: this.#nowMs() };
    this.#unanswered.push(asked);
    if (request.action === 'lock' && typeof request.ref === 'number') {
      const first = this.asked.get(request.ref);
      if (first === undefined) this.asked.set(request.ref, { request, atMs: asked.atMs });
      else if (first.request !== request) this.#ambiguousRefs.add(request.ref);
    }
    if (request.action === 'release') this.#giveUp(request.id);
    if (request.action === 'extend') {
      // From now on either hold may be the one that counts.
      const lock = this.locks.get(request.id ?? '');
      if (lock !== undefined) this.#holdUntil(lock, Math.min(lock.untilMs, endOf(asked, request)));
    }
    if (request.action === 'bye') this.#hasSaidBye = true;
    if (request.action === 'bye') this.giveUpAll();
    this.wire.write(request);
  }

  /** Reads the next message, if there is one. */
  read(): void {
    if (this.wire !== undefined) this.readFrom(this.wire);
  }

  /** Reads the next message of its present wire, or of its last one. */
  readFrom(wire: Wire): void {
    if (wire.messagesToClient === 0) return;
    const reply = wire.read();
    if (this.kind === 'v1') this.#hearV1(reply);
    else {
      assert.ok(reply !== undefined, 'every message is JSON');
      this.#hear(reply);
    }
  }

  #forget(): void {
    for (const id of this.locks.keys()) this.#finished.add(id);
    this.locks.clear();
    this.asked.clear();
    this.session = undefined;
    this.sessionName = undefined;
  }

  /** From now on it holds none of its locks, even if the server has them still. */
  giveUpAll(): void {
    for (const id of this.locks.keys()) this.#giveUp(id);
  }

  /** From now on it does not hold that lock, even if the server has it still. */
  #giveUp(id: string | undefined): void {
    const [only] = this.locks.keys();
    const lock = this.locks.get(id ?? only ?? '');
    if (lock === undefined) return;
    lock.isReleasing = true;
    if (lock.belief !== undefined) this.#ledger.leave(lock.belief);
    lock.belief = undefined;
  }

  #hear(reply: Reply): void {
    const { action, error, event, dropped } = reply;
    if (event !== undefined || dropped !== undefined) return;
    const code = (error as Reply | undefined)?.code;
    if (action === undefined && FAREWELLS.has(code)) return;
    if (this.#listing !== undefined && this.#isListing) {
      this.#listed(reply, this.#listing);
      return;
    }
    if (action === 'lock' && error === undefined && this.#isNews(reply)) {
      this.#become(String(reply.id), String(reply.state));
      return;
    }
    if (action === 'lock' && error !== undefined && reply.id !== undefined) {
      this.#turnedAway(String(reply.id), code);
      return;
    }
    if (LISTS.has(action) && reply.end !== true && error === undefined) {
      assert.equal(this.#unanswered[0]?.request.action, action, 'an answer in its turn');
      return;
    }
    const asked = this.#unanswered.shift();
    assert.ok(asked !== undefined, `nothing was asked: ${JSON.stringify(reply)}`);
    const { request } = asked;
    const isNonsense = request.action === 'nonsense';
    assert.equal(action, isNonsense ? request.readAs : request.action, 'answers come in order');
    assert.equal(reply.ref, request.ref, 'an answer has the ref of its request');
    if (isNonsense) assert.equal(code, request.code);
    else if (error === undefined) this.#answered(asked, reply);
    else if (request.action === 'hello' && code === 'no_such_session') this.#notResumed(request);
    else if (code === 'deadlock') assert.ok(((error as Reply).cycle as object[]).length > 0);
    else if (request.action === 'lock' && code !== 'ref_in_use') this.#forgetAsked(request);
  }

  #turnedAway(id: string, code: unknown): void {
    const lock = this.locks.get(id);
    assert.deepEqual([lock?.state, code], ['enqueued', 'draining']);
    this.#finish(id, lock?.request);
  }

  /** Whether a message reports the change of a lock, rather than answers a request. */
  #isNews({ id, state }: Reply): boolean {
    const lock = this.locks.get(String(id));
    if (lock === undefined || state === 'enqueued') return false;
    return lock.state === 'enqueued' || state === 'expired' || state === 'evicted';
  }

  #answered({ request, atMs }: Asked, reply: Reply): void {
    const id = String(reply.id);
    if (request.action === 'lock') {
      if (reply.state === 'timeout') this.#finish(id, request);
      else if (this.locks.has(id)) assert.equal(this.locks.get(id)?.state, reply.state);
      else this.#have(id, { request, atMs }, String(reply.state));
    } else if (request.action === 'release') {
      assert.ok(request.id === undefined || request.id === id);
      this.#finish(id, this.locks.get(id)?.request);
    } else if (request.action === 'extend') {
      assert.ok(request.id === undefined || request.id === id);
      this.#extended(id, endOf({ atMs }, request));
    } else if (request.action === 'hello') {
      this.#welcomed(request, reply);
    } else if (request.action === 'bye') {
      if (this.sessionName !== undefined) this.endedNames.push(this.sessionName);
      this.#forget();
    }
  }

  /** What was sent later and is not answered yet may make the hold shorter again. */
  #extended(id: string, untilMs: number): void {
    const lock = this.locks.get(id);
    if (lock === undefined) return;
    const later = this.#unanswered.map(({ request, atMs }) =>
      request.action === 'extend' && request.id === id ? endOf({ atMs }, request) : untilMs,
    );
    this.#holdUntil(lock, Math.min(untilMs, ...later));
  }

  #holdUntil(lock: LockView, untilMs: number): void {
    lock.untilMs = untilMs;
    if (lock.belief !== undefined) this.#believe(lock);
  }

  #welcomed(request: HelloRequest, reply: Reply): void {
    if (request.session === undefined) {
      this.sessionName = String(reply.session);
      assert.equal(reply.namespace, request.namespace);
    } else {
      assert.equal(reply.session, request.session, 'it is the session that was asked for');
      this.#listing = { left: Number(reply.locks), ids: new Set() };
      if (this.#listing.left === 0) this.#checkListing(this.#listing.ids);
    }
  }

  #listed(reply: Reply, listing: { left: number; readonly ids: Set<string> }): void {
    const id = String(reply.id);
    listing.left--;
    listing.ids.add(id);
    assert.equal(reply.action, 'lock');
    const known = this.locks.get(id);
    const isKnown = typeof reply.ref === 'number' && !this.#ambiguousRefs.has(reply.ref);
    const asked = isKnown ? this.asked.get(Number(reply.ref)) : undefined;
    if (known === undefined) {
      this.#have(id, asked, String(reply.state));
    } else if (reply.state !== known.state) {
      assert.equal(known.state, 'enqueued', 'a lock is not enqueued again');
      this.#become(id, String(reply.state));
    } else if (known.state === 'acquired') this.#believe(known);
    if (listing.left === 0) this.#checkListing(listing.ids);
  }

  /** Locks that it held must be listed; others that are missing ended while it was away. */
  #checkListing(ids: ReadonlySet<string>): void {
    for (const [id, lock] of this.locks) {
      if (ids.has(id)) continue;
      const { belief } = lock;
      const isMissed = belief !== undefined && this.#ledger.isBelieved(belief, this.#nowMs());
      assert.ok(!isMissed, `lock ${id} was held and is missing after the resume`);
      this.#finish(id, lock.request);
    }
  }

  /** The session that it wanted to resume has ended: only correct if it was away too long. */
  #notResumed(request: HelloRequest): void {
    if (request.session === undefined || request.session !== this.sessionName) return;
    for (const { id, belief } of this.locks.values()) {
      const isMissed = belief !== undefined && this.#ledger.isBelieved(belief, this.#nowMs());
      assert.ok(!isMissed, `lock ${id} was held and its session is gone`);
    }
    this.endedNames.push(request.session);
    this.#forget();
  }

  #have(id: string, asked: Asked<LockRequest> | undefined, state: string): void {
    assert.ok(!this.#finished.has(id), `lock ${id} has ended and is heard of again`);
    assert.ok(state === 'enqueued' || state === 'acquired', state);
    const request = asked?.request;
    // A retry may be answered with the lock of the first try.
    const first = typeof request?.ref === 'number' ? this.asked.get(request.ref) : asked;
    // It was not acquired before it was requested, so its hold can't end before this.
    const untilMs = ((first ?? asked)?.atMs ?? 0) + (request?.holdMs ?? Number.POSITIVE_INFINITY);
    const lock = { id, request, untilMs, isReleasing: false, belief: undefined, state } as const;
    const view: LockView = { ...lock };
    this.locks.set(id, view);
    if (state === 'acquired') this.#believe(view);
  }

  #become(id: string, state: string): void {
    const lock = this.locks.get(id);
    assert.ok(lock !== undefined, `lock ${id} is not one of this client`);
    if (state === 'acquired') {
      lock.state = state;
      this.#believe(lock);
    } else {
      if (state !== 'evicted') {
        assert.equal(state, lock.state === 'enqueued' ? 'timeout' : 'expired');
      }
      this.#finish(id, lock.request);
    }
  }

  #believe(lock: LockView): void {
    const { request, untilMs } = lock;
    const { session } = this;
    if (request === undefined || session === undefined) return;
    if (lock.isReleasing || this.#hasSaidBye) return;
    const belief = { id: Number(lock.id), resources: request.resources, session, untilMs };
    lock.belief = belief;
    if (this.#ledger.isBelieved(belief, this.#nowMs())) this.#ledger.enter(belief, this.#nowMs());
  }

  #finish(id: string, request: LockRequest | undefined): void {
    assert.ok(!this.#finished.has(id), `lock ${id} ends once`);
    this.#finished.add(id);
    const belief = this.locks.get(id)?.belief;
    if (belief !== undefined) this.#ledger.leave(belief);
    this.locks.delete(id);
    if (request !== undefined) this.#forgetAsked(request);
  }

  #forgetAsked({ ref }: LockRequest): void {
    if (typeof ref === 'number') this.asked.delete(ref);
  }

  #hearV1(reply: Reply | undefined): void {
    if (reply === undefined) return; // a sentence, and the end follows
    const id = String(reply.id);
    if (reply.action === 'lock' && this.locks.get(id)?.state === 'enqueued') {
      this.#become(id, String(reply.state));
      return;
    }
    const asked = this.#unanswered.shift();
    assert.equal(reply.action, asked?.request.action, 'answers come in order');
    if (asked?.request.action === 'lock') {
      this.#have(id, { request: asked.request, atMs: asked.atMs }, String(reply.state));
    } else {
      this.#finish(id, undefined);
    }
  }
}

/** When a hold may end that was extended then. */
function endOf({ atMs }: Pick<Asked, 'atMs'>, { holdMs }: ExtendRequest): number {
  return atMs + (holdMs ?? Number.POSITIVE_INFINITY);
}

function isResume(request: Request): boolean {
  return request.action === 'hello' && request.session !== undefined;
}
