/**
 * Sessions without a server: a host on a fake clock, and peers that record their notifications.
 * Locks are named `client/ref`.
 */
import assert from 'node:assert/strict';
import { IdCounter } from '../../src/runtime/id-counter.ts';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import { Counters } from '../../src/session/counters.ts';
import type { ReleaseCause } from '../../src/session/lock-events.ts';
import type { LockTerms, Ref, SessionLock } from '../../src/session/lock-record.ts';
import { Namespaces } from '../../src/session/namespace.ts';
import { Session } from '../../src/session/session.ts';
import type { Peer, SessionHost, SessionSettings } from '../../src/session/session-host.ts';
import { FakeClock } from './fake-clock.ts';

export function setUp(limits: Partial<typeof DEFAULT_LIMITS> = {}) {
  const clock = new FakeClock();
  const allLimits = { ...DEFAULT_LIMITS, ...limits };
  const namespaces = new Namespaces(new IdCounter(0).next, allLimits.maxLockBytes);
  const events: string[] = [];
  let names = 0;
  const name = (lock: SessionLock): string => `${lock.context.session.client}/${lock.context.ref}`;
  const host = {
    registry: namespaces,
    newName: () => `name-${++names}`,
    clock,
    counters: new Counters(),
    limits: allLimits,
    observer: {
      enqueued: (lock: SessionLock) => events.push(`enqueued ${name(lock)}`),
      acquired: (lock: SessionLock) => events.push(`acquired ${name(lock)}`),
      released: (lock: SessionLock, cause: ReleaseCause) => events.push(`${cause} ${name(lock)}`),
    },
  };
  /** The notifications of each client about locks that it waited for. */
  const told: string[] = [];
  const peerOf = (client: string): Peer => ({
    lockChanged: (lock, change) =>
      told.push(change === 'acquired' ? name(lock) : `${change} ${name(lock)}`),
    sessionEnded: (reason) => told.push(`${reason} ${client}`),
  });
  const open = (
    client: string,
    abandonTimeoutMs = 1000,
    namespace = 'shop',
    sessionName?: string,
  ): TestSession => {
    const peer = peerOf(client);
    const settings = { namespace, abandonTimeoutMs, client, key: sessionName };
    return new TestSession(host, settings, peer);
  };
  /** Takes a session over for a new connection of that client. */
  const resume = (session: Session, client: string): Peer => {
    const peer = peerOf(client);
    session.resume(peer, client);
    return peer;
  };
  const verify = (): void => {
    for (const { table } of namespaces) table.verify();
  };
  return { clock, namespaces, events, told, open, resume, verify, host, peerOf };
}

/** A session that remembers its first peer, so that a test can lose that one. */
export class TestSession extends Session {
  readonly peer: Peer;

  constructor(host: SessionHost, settings: SessionSettings, peer: Peer) {
    super(host, settings, peer);
    this.peer = peer;
  }

  loseFirst(): void {
    this.lose(this.peer);
  }
}

export function mustLock(
  session: Session,
  ref: string,
  ...resources: Parameters<Session['lock']>[0]
) {
  return mustGet(session, { ref }, ...resources);
}

export function mustGet(
  session: Session,
  { ref, ...terms }: LockTerms & { ref?: Ref | undefined },
  ...resources: Parameters<Session['lock']>[0]
) {
  const lock = session.lock(resources, terms, ref);
  if ('code' in lock) assert.fail(lock.code);
  return lock;
}
