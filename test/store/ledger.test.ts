/**
 * The ledger: which changes it stores, when, and what waits for them. Commits of the store end when
 * the test says.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IdCounter } from '../../src/runtime/id-counter.ts';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import { Counters } from '../../src/session/counters.ts';
import { Namespaces } from '../../src/session/namespace.ts';
import { Session } from '../../src/session/session.ts';
import type { Peer } from '../../src/session/session-host.ts';
import { Ledger } from '../../src/store/ledger.ts';
import { SimulatedClock } from '../simulation/simulated-clock.ts';
import { liveAfter, MemoryDisk, MemoryStore } from '../support/memory-store.ts';
import { write } from '../support/resources.ts';
import { mustGet } from '../support/session-host.ts';

const NO_PEER: Peer = { lockChanged: () => {}, sessionEnded: () => {} };

async function setUp() {
  const disk = new MemoryDisk();
  const store = new MemoryStore(disk, { isHeld: true });
  const clock = new SimulatedClock();
  const lockIds = new IdCounter(0);
  const registry = new Namespaces(lockIds.next, DEFAULT_LIMITS.maxLockBytes);
  const failures: string[] = [];
  const ids = { lastLockId: () => lockIds.last, lastSessionId: () => registry.lastSessionId };
  const failed = ({ message }: Error): void => void failures.push(message);
  const ledger = new Ledger(store, { clock, ids, failed });
  await store.load();
  await ledger.start(1, []);
  const host = {
    ...{ registry, clock, limits: DEFAULT_LIMITS, observer: undefined },
    ...{ counters: new Counters(), journal: ledger },
  };
  const open = (key?: string): Session =>
    new Session(
      host,
      { namespace: 'shop', abandonTimeoutMs: 100, client: 'c', key, label: undefined },
      NO_PEER,
    );
  const lock = (session: Session, ...path: string[]) => mustGet(session, {}, write(...path));
  const said: string[] = [];
  const say = (word: string): void => ledger.whenStored(() => said.push(word), word.length);
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  /** The turns after which what has gathered is committed. */
  const turn = (): void => {
    while (clock.hasTurns) clock.runTurn();
  };
  /** The commit under way ends, and what has gathered meanwhile is committed. */
  const finish = async (): Promise<void> => {
    store.finish();
    await settle();
    turn();
  };
  /** The records of the commit under way, without what tests don't vary. */
  const records = (): string[] | undefined =>
    store.underWay?.records.map((record) => {
      const { session, lock: id, held, deleteLock, deleteSession } = JSON.parse(record);
      if (id !== undefined) return `put ${id} of ${session} ${held ? 'held' : 'enqueued'}`;
      if (session !== undefined) return `put session ${session}`;
      if (deleteLock !== undefined) return `delete ${deleteLock}`;
      return `delete session ${deleteSession}`;
    });
  const stored = { turn, finish, settle, records, said, say };
  return { ...stored, disk, store, clock, lockIds, ledger, failures, open, lock };
}

test('the changes of a turn are one batch, sessions first, and what is said waits for it', async () => {
  const { turn, finish, records, said, say, open, lock } = await setUp();
  say('nothing has changed');
  assert.deepEqual(said.splice(0), ['nothing has changed']);
  const [a, b] = [open(), open('key')];
  lock(a, 'x');
  say('first');
  lock(b, 'x');
  say('second');
  assert.equal(records(), undefined, 'the turn is not over');
  turn();
  assert.deepEqual(records(), [
    'put session 1',
    'put session 2',
    'put 1 of 1 held',
    'put 2 of 2 enqueued',
  ]);
  say('third');
  assert.deepEqual(said, []);
  await finish();
  assert.deepEqual(said, ['first', 'second', 'third']);
});

test('a batch gathers while each turn adds to it, but not for long; a single change does not wait', async () => {
  const { clock, finish, records, open, lock } = await setUp();
  const a = open();
  let locks = 0;
  const more = (): void => void lock(a, `${++locks}`);
  more();
  for (let turns = 0; turns < 3; turns++) {
    clock.runTurn();
    assert.equal(records(), undefined);
    more();
  }
  clock.runTurn();
  clock.runTurn();
  assert.equal(records()?.length, 5, 'nothing was added in the last turn');
  await finish();
  more();
  clock.runTurn();
  assert.equal(records()?.length, 1, 'it is alone');
  await finish();
  for (let turns = 0; records() === undefined; turns++) {
    assert.ok(turns < 10, 'no batch gathers for ever');
    more();
    more();
    clock.advance(0.1);
    clock.runTurn();
  }
});

test('what changes during a commit is the next batch, which starts once that one has ended', async () => {
  const { turn, finish, records, said, say, open, lock } = await setUp();
  const session = open();
  const first = lock(session, 'x');
  turn();
  session.release(first);
  say('released');
  lock(session, 'y');
  assert.deepEqual(records(), ['put session 1', 'put 1 of 1 held']);
  await finish();
  assert.deepEqual(records(), ['put 2 of 1 held', 'delete 1']);
  assert.deepEqual(said, []);
  await finish();
  assert.deepEqual(said, ['released']);
  session.end();
  turn();
  assert.deepEqual(records(), ['delete 2', 'delete session 1']);
  await finish();
  assert.equal(records(), undefined);
});

test('a release and the grant that it causes are one batch', async () => {
  const { turn, finish, records, open, lock } = await setUp();
  const [a, b] = [open(), open()];
  const held = lock(a, 'x');
  const waiting = lock(b, 'x');
  turn();
  await finish();
  a.release(held);
  assert.equal(waiting.state, 'acquired');
  turn();
  assert.deepEqual(records(), ['delete 1']);
});

test('what begins and ends within a batch is never stored', async () => {
  const { turn, records, said, say, open, lock } = await setUp();
  const session = open();
  const brief = lock(session, 'x');
  say('acquired');
  session.release(brief);
  say('released');
  session.end();
  say('goodbye');
  assert.deepEqual(said, []);
  turn();
  assert.equal(records(), undefined);
  assert.deepEqual(said, ['acquired', 'released', 'goodbye']);
});

test('a session without locks is not stored', async () => {
  const { open, say, said } = await setUp();
  const session = open('key');
  session.end();
  say('goodbye');
  assert.deepEqual(said, ['goodbye']);
});

test('jobs keep their order when the change that the first waits for cancels out', async () => {
  const { turn, said, say, open, lock, finish } = await setUp();
  const session = open();
  lock(session, 'kept');
  turn();
  await finish();
  const brief = lock(session, 'x');
  say('acquired');
  session.release(brief);
  say('released');
  assert.deepEqual(said, [], 'the first still waits');
  turn();
  assert.deepEqual(said, ['acquired', 'released']);
});

test('jobs keep their order when that happens during a commit', async () => {
  const { turn, said, say, open, lock, finish } = await setUp();
  const session = open();
  lock(session, 'kept');
  turn();
  say('kept');
  const brief = lock(session, 'x');
  say('acquired');
  session.release(brief);
  say('released');
  await finish();
  assert.deepEqual(said, ['kept', 'acquired', 'released']);
});

test('jobs that are given by jobs come after them', async () => {
  const { turn, ledger, say, said, open, lock, finish } = await setUp();
  const session = open();
  lock(session, 'x');
  ledger.whenStored(() => {
    said.push('one');
    lock(session, 'y');
    say('three');
  });
  say('two');
  turn();
  await finish();
  assert.deepEqual(said, ['one', 'two']);
  turn();
  await finish();
  assert.deepEqual(said, ['one', 'two', 'three']);
});

test('extended holds are stored anew, those of new locks once', async () => {
  const { turn, finish, records, store, clock, open, lock } = await setUp();
  const session = open();
  const held = lock(session, 'x');
  session.extend(held, 50);
  turn();
  assert.deepEqual(records(), ['put session 1', 'put 1 of 1 held']);
  assert.equal(JSON.parse(store.underWay?.records[1] ?? '').holdMs, 50);
  clock.advance(10);
  session.extend(held, 50);
  await finish();
  assert.deepEqual(records(), ['put 1 of 1 held']);
  assert.equal(JSON.parse(store.underWay?.records[0] ?? '').holdMs, 60, 'since it was acquired');
  session.extend(held, 70);
  session.release(held);
  await finish();
  assert.deepEqual(records(), ['delete 1']);
});

test('ids are stored ahead; none beyond them is said before it is stored', async () => {
  const { turn, finish, records, said, say, lockIds, disk, open } = await setUp();
  const { lockIds: ahead, sessionIds } = disk.position;
  assert.ok(ahead > 1000 && sessionIds > 100);
  lockIds.skipTo(ahead);
  say('a miss, with the last id that is stored');
  assert.equal(said.length, 1);
  lockIds.next();
  say('a miss, with an id beyond');
  assert.equal(said.length, 1);
  turn();
  assert.deepEqual(records(), []);
  await finish();
  assert.equal(said.length, 2);
  assert.ok(disk.position.lockIds > ahead + 1);
  for (let id = 0; id <= sessionIds; id++) open();
  say('hello');
  assert.equal(said.length, 2);
  turn();
  await finish();
  assert.equal(said.length, 3);
  assert.ok(disk.position.sessionIds > sessionIds + 1);
});

test('the clock of a batch is never ahead of the server', async () => {
  const { turn, store, clock, open, lock } = await setUp();
  clock.advance(10.75);
  lock(open(), 'x');
  turn();
  assert.equal(store.underWay?.clockMs, 10);
});

test('frozen, it records nothing more, and commits what it had', async () => {
  const { turn, finish, records, ledger, said, say, open, lock, disk } = await setUp();
  const session = open();
  const [first, second] = [lock(session, 'x'), lock(session, 'x')];
  ledger.freeze();
  let isSettled = false;
  void ledger.finish().then(() => {
    isSettled = true;
  });
  session.end();
  lock(open(), 'z');
  say('goodbye');
  assert.deepEqual([first.state, second.state], ['released', 'released']);
  turn();
  assert.deepEqual(records(), ['put session 1', 'put 1 of 1 held', 'put 2 of 1 enqueued']);
  assert.deepEqual(said, []);
  await finish();
  assert.deepEqual([said, isSettled], [['goodbye'], false]);
  assert.deepEqual(records(), [], 'the time of the end');
  await finish();
  assert.equal(isSettled, true);
  assert.match(disk.records.join(''), /"held":true/, 'as it was before the end');
  const { sessions, locks } = liveOf(disk.records);
  assert.deepEqual([sessions, locks.length], [[1], 2]);
});

test('after a failure nothing is said, and what settles does so', async () => {
  const { turn, settle, store, ledger, failures, said, say, open, lock } = await setUp();
  const session = open();
  lock(session, 'x');
  say('acquired');
  turn();
  lock(session, 'y');
  say('acquired, too');
  const settled = ledger.finish();
  store.fail();
  await settle();
  await settled;
  await ledger.finish();
  assert.deepEqual(failures, ['the memory has failed']);
  say('anything');
  lock(session, 'z');
  say('more');
  turn();
  assert.deepEqual(said, []);
});

test('what is live can be drawn while it changes', async () => {
  const { turn, finish, store, open, lock, disk } = await setUp();
  const sessions = [open(), open(), open('key')];
  const locks = sessions.map((session, i) => [lock(session, `${i}`), lock(session, `${i}`)]);
  turn();
  await finish();
  const live = store.live?.();
  const drawn: string[] = [];
  const draw = (count: number): void => {
    for (let i = 0; i < count; i++) drawn.push(live?.next().value);
  };
  draw(2);
  const [[first, next] = [], , [last] = []] = locks;
  if (first !== undefined) sessions[0]?.release(first);
  assert.equal(next?.state, 'acquired');
  sessions[1]?.end();
  if (last !== undefined) sessions[2]?.release(last);
  const late = open();
  lock(late, 'late');
  turn();
  const changes = [...(store.underWay?.records ?? [])];
  draw(5);
  assert.equal(live?.next().done, true);
  await finish();
  // Drawn before the changes or after them: applied in either order they make what is live.
  assert.deepEqual(liveOf([...drawn, ...changes], true), liveOf(disk.records));
  assert.deepEqual(liveOf(drawn).sessions, [1, 3, 4], 'what has ended is not drawn');
});

function liveOf(records: readonly string[], mayBeAbsent = false) {
  const { sessions, locks } = liveAfter(records, mayBeAbsent);
  const id = ({ id }: { id: number }): number => id;
  return { sessions: sessions.map(id), locks: locks.map(id) };
}

test('it is behind while a commit is slow, and says when that is over', async () => {
  const { turn, finish, clock, ledger, open, lock, said } = await setUp();
  const session = open();
  lock(session, 'x');
  clock.advance(5000);
  assert.equal(ledger.isBehind, false, 'no commit is under way');
  turn();
  clock.advance(1000);
  assert.equal(ledger.isBehind, false);
  clock.advance(1);
  assert.equal(ledger.isBehind, true);
  lock(session, 'y');
  ledger.whenStored(() => said.push('stored'));
  ledger.whenCaughtUp(() => said.push(`behind: ${ledger.isBehind}`));
  await finish();
  assert.deepEqual(said, ['behind: false'], 'once, and the next commit is under way');
  await finish();
  assert.deepEqual(said, ['behind: false', 'stored']);
});

test('it is behind while much is held back', async () => {
  const { turn, finish, ledger, open, lock } = await setUp();
  const session = open();
  lock(session, 'x');
  const bytes = 32 * 1024 * 1024;
  ledger.whenStored(() => {}, bytes);
  turn();
  ledger.whenStored(() => {}, bytes);
  assert.deepEqual([ledger.heldBackBytes, ledger.isBehind], [2 * bytes, false]);
  lock(session, 'y');
  ledger.whenStored(() => {}, 1);
  assert.deepEqual([ledger.heldBackBytes, ledger.isBehind], [2 * bytes + 1, true]);
  await finish();
  assert.deepEqual([ledger.heldBackBytes, ledger.isBehind], [1, false]);
  await finish();
  assert.equal(ledger.heldBackBytes, 0);
});
