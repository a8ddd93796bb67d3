/**
 * The locks that clients believe they hold, by the messages they read, and when they stop believing
 * it without a message: a disconnected client gives its locks up once its abandon timeout may have
 * passed. Evicted locks are left out. The ledger does not look into the server.
 */
import assert from 'node:assert/strict';
import type { Path, Resource } from '../../src/table/resource.ts';
import type { Reply } from '../support/line-client.ts';
import { isPrefix, locksConflict } from '../support/lock-model.ts';

/** One session as its client and the wires know it. */
export interface SessionView {
  readonly namespace: string;
  readonly abandonTimeoutMs: number;
  /** When its connection ended on the server's side; undefined while there is one. */
  lostAtMs: number | undefined;
}

export interface Belief {
  readonly id: number;
  readonly resources: readonly Resource[];
  readonly session: SessionView;
  /** When its hold limit may have run out. */
  readonly untilMs: number;
}

export class Ledger {
  readonly #beliefs = new Map<string, Map<number, Belief>>();
  /** Evicted locks: their holders may not know of it yet. */
  readonly #revoked = new Set<number>();
  entered = 0;

  /** A client learns that it holds `lock`: no other may believe it holds a conflicting one. */
  enter(belief: Belief, nowMs: number): void {
    const { namespace } = belief.session;
    const beliefs = this.#beliefs.get(namespace) ?? new Map<number, Belief>();
    this.#beliefs.set(namespace, beliefs);
    for (const other of beliefs.values()) {
      if (!this.isBelieved(other, nowMs)) beliefs.delete(other.id);
      else if (other.id !== belief.id && locksConflict(belief, other)) {
        assert.fail(`lock ${belief.id} is told to be held while ${other.id} is`);
      }
    }
    beliefs.set(belief.id, belief);
    this.entered++;
  }

  leave({ id, session }: Belief): void {
    this.#beliefs.get(session.namespace)?.delete(id);
  }

  /** From now on no client can rely on that lock, whatever its holder still reads. */
  revoke(id: number): void {
    this.#revoked.add(id);
  }

  isBelieved({ id, session, untilMs }: Belief, nowMs: number): boolean {
    const { lostAtMs, abandonTimeoutMs } = session;
    if (nowMs >= untilMs || this.#revoked.has(id)) return false;
    return lostAtMs === undefined || nowMs < lostAtMs + abandonTimeoutMs;
  }
}

interface Fence {
  readonly path: Path;
  read: number;
  write: number;
}

/** Of two conflicting locks the one that is acquired later has the larger id: so an id fences. */
export class Fences {
  readonly #byPath = new Map<string, Fence>();

  copy(): Fences {
    const copy = new Fences();
    for (const [key, fence] of this.#byPath) copy.#byPath.set(key, { ...fence });
    return copy;
  }

  acquired(id: number, resources: readonly Resource[]): void {
    for (const { type, path } of resources) {
      for (const fence of this.#byPath.values()) {
        if (!isPrefix(fence.path, path) && !isPrefix(path, fence.path)) continue;
        const last = type === 'write' ? Math.max(fence.read, fence.write) : fence.write;
        assert.ok(id >= last, `lock ${id} is acquired after ${last}, which conflicts`);
      }
    }
    for (const { type, path } of resources) {
      const key = JSON.stringify(path);
      const fence = this.#byPath.get(key) ?? { path, read: 0, write: 0 };
      this.#byPath.set(key, fence);
      fence[type] = Math.max(fence[type], id);
    }
  }
}

/** How far a lock has come; it never goes back. */
const STAGES: readonly unknown[] = ['enqueued', 'acquired', 'ended'];

/** What has left the server, of locks and sessions: no crash may un-say it. */
export class Told {
  readonly #stages = new Map<number, number>();
  lastLockId = 0;
  lastSessionId = 0;

  add({ id, sessionId, state, event, error }: Reply): void {
    this.lastSessionId = Math.max(this.lastSessionId, Number(sessionId ?? 0));
    if (id === undefined || error !== undefined) return;
    this.lastLockId = Math.max(this.lastLockId, Number(id));
    const what = state ?? event;
    if (what === undefined) return;
    const stage = STAGES.indexOf(what);
    const before = this.#stages.get(Number(id)) ?? 0;
    this.#stages.set(Number(id), Math.max(before, stage === -1 ? STAGES.length - 1 : stage));
  }

  /**
   * A server has crashed.
   *
   * @param stored whether each lock that is stored is held, by id
   * @param lastId the last id at that time: other locks up to it had ended
   * @param alive the locks that were alive at the crash
   */
  check(
    stored: ReadonlyMap<number, boolean>,
    lastId: number,
    alive: ReadonlyMap<number, unknown>,
  ): void {
    for (const [id, at] of this.#stages) {
      const isHeld = stored.get(id);
      const after = isHeld === undefined ? 2 : Number(isHeld);
      const said = `lock ${id} was said to be ${STAGES[at]}`;
      assert.ok(after >= at, `${said}, and is ${STAGES[after]} after a crash`);
      // One that began and ended since then has left nothing that could be un-said.
      const isForgotten = at < 2 && isHeld === undefined && id > lastId && alive.has(id);
      assert.ok(!isForgotten, `${said}, and is not stored`);
    }
  }
}
