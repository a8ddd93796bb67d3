/** How long a client trusts its locks, by clocks that the test drives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LockLostError, write } from '../../src/client/index.ts';
import { ABANDON_MS, granted, greeting, resumed, ScriptedServer } from './scripted-server.ts';

/** How long a lock is trusted after the last answered request was sent. */
const TRUST_MS = ABANDON_MS - ABANDON_MS / 10;
const PING_MS = ABANDON_MS / 5;

function codeOf(signal: AbortSignal): unknown {
  const { reason } = signal;
  assert.ok(reason instanceof LockLostError);
  return reason.code;
}

test('without an answer a lock is lost before the server can grant it to another client', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  connection.end();
  server.clock.advance(TRUST_MS - 1);
  assert.equal(lock.isHeld, true);
  const { signal } = lock;
  server.clock.advance(1);
  assert.equal(signal.aborted, true, 'a timer sees to it');
  assert.equal(codeOf(signal), 'unconfirmed');
  assert.equal(lock.isHeld, false);
});

test('trust counts from the sending, not from the answer', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  server.clock.advance(PING_MS);
  const { ref } = connection.take('ping');
  server.clock.advance(PING_MS - 1);
  connection.say({ action: 'ping', ref });
  connection.end();
  server.clock.advance(TRUST_MS - (PING_MS - 1) - 1);
  assert.equal(lock.isHeld, true);
  server.clock.advance(1);
  assert.equal(lock.isHeld, false);
});

test('a lock says for how long it is held without another answer', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  assert.equal(lock.leftMs, TRUST_MS);
  server.clock.advance(PING_MS);
  assert.equal(lock.leftMs, TRUST_MS - PING_MS);
  connection.answerPings();
  assert.equal(lock.leftMs, TRUST_MS, 'since the ping was sent');
  server.clock.aheadMs += 1000;
  assert.equal(lock.leftMs, TRUST_MS - 1000, 'by the clock that ran further');
  const wait = client.lock(write('b'), { holdMs: 1000 });
  await null;
  connection.say({ action: 'lock', ref: connection.take('lock').ref, id: '8', state: 'acquired' });
  const short = await wait;
  assert.ok(short.leftMs < lock.leftMs && short.leftMs <= 900, 'at most for its holdMs');
  void lock.release();
  assert.equal(lock.leftMs, 0);
  connection.end();
  server.clock.advance(TRUST_MS);
  assert.equal(short.leftMs, 0);
});

test('answered pings keep a lock held', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  for (let i = 0; i < 100; i++) {
    server.clock.advance(PING_MS);
    connection.answerPings();
  }
  assert.equal(lock.isHeld, true);
});

test('a machine that slept has lost its locks, whatever its monotonic clock says', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  const { lock: other } = await granted(client, connection, { id: '8' });
  const { signal } = other;
  server.clock.aheadMs += TRUST_MS;
  assert.equal(lock.isHeld, false, 'a look at it is enough');
  assert.equal(codeOf(signal), 'unconfirmed', 'and all of the session go');
});

test('after a sleep the loss is noticed within a second', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  const { signal } = lock;
  server.clock.aheadMs += 60_000;
  server.clock.advance(1000);
  assert.equal(codeOf(signal), 'unconfirmed');
});

test('a wall clock that is set back prolongs nothing', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  server.clock.aheadMs -= 1_000_000;
  connection.end();
  server.clock.advance(TRUST_MS);
  assert.equal(lock.isHeld, false);
});

test('a monotonic clock that goes back changes nothing', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  server.clock.jumpedMs -= 1_000_000;
  for (let i = 0; i < 10; i++) {
    server.clock.advance(PING_MS);
    connection.answerPings();
  }
  assert.equal(lock.isHeld, true, 'it pings, and the answers count');
  connection.end();
  server.clock.advance(TRUST_MS);
  assert.equal(lock.isHeld, false);
});

test('a resume restores trust, from the sending of its hello', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock, ref } = await granted(client, connection);
  connection.end();
  const next = server.reconnection();
  assert.equal(next.hello.session, 's1');
  server.clock.advance(1000);
  next.connection.say(...resumed(next.hello.ref, { ref, id: '7', state: 'acquired' }));
  next.connection.end();
  server.clock.advance(TRUST_MS - 1001);
  assert.equal(lock.isHeld, true);
  server.clock.advance(1);
  assert.equal(lock.isHeld, false);
});

test('a resume with an incomplete list restores nothing', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  connection.end();
  const next = server.reconnection();
  next.connection.say(greeting(next.hello.ref, { resumed: true, locks: 1 }));
  server.clock.advance(TRUST_MS - 5000);
  assert.equal(codeOf(lock.signal), 'unconfirmed');
});

test('a lost lock never comes back: if the server still has it, it is released', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock, ref } = await granted(client, connection);
  connection.end();
  const next = server.reconnection();
  server.clock.advance(TRUST_MS - 5000);
  assert.equal(lock.isHeld, false);
  next.connection.say(...resumed(next.hello.ref, { ref, id: '7', state: 'acquired' }));
  assert.equal(lock.isHeld, false);
  const release = next.connection.take('release');
  assert.equal(release.id, '7');
  next.connection.say({ action: 'release', ref: release.ref, id: '7', state: 'released' });
});

test('a grant that arrives too late counts only after a resume', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const wait = client.lock(write('a'));
  await null;
  const { ref } = connection.take('lock');
  connection.say({ action: 'lock', ref, id: '7', state: 'enqueued' });
  server.clock.aheadMs += TRUST_MS;
  connection.say({ action: 'lock', ref, id: '7', state: 'acquired' });
  assert.equal(connection.isOver, true);
  const next = server.reconnection();
  next.connection.say(...resumed(next.hello.ref, { ref, id: '7', state: 'acquired' }));
  assert.equal((await wait).isHeld, true);
});

test('the locks of an ended session are lost before the next session begins', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  const waiting = client.lock(write('b'));
  await null;
  const { ref } = connection.take('lock');
  connection.say({ action: 'lock', ref, id: '8', state: 'enqueued' });
  connection.end();
  const next = server.reconnection();
  let helloAtLoss: number | undefined;
  lock.signal.addEventListener('abort', () => {
    helloAtLoss = next.connection.heard.length;
  });
  const error = { code: 'no_such_session', message: 'it is gone' };
  next.connection.say({ action: 'hello', ref: next.hello.ref, error });
  assert.equal(helloAtLoss, 0, 'nothing was said before');
  assert.equal(codeOf(lock.signal), 'no_such_session');
  assert.match(lock.signal.reason.message, /it is gone/);
  const hello = next.connection.take('hello');
  assert.equal(hello.session, undefined);
  next.connection.say(greeting(hello.ref, { session: 's2' }));
  const again = next.connection.take('lock');
  assert.equal(again.ref, ref, 'what was awaited is awaited there');
  next.connection.say({ action: 'lock', ref, id: '9', state: 'acquired' });
  assert.equal((await waiting).id, '9');
});

test('a hold is trusted for its holdMs, less a margin, from when it may have begun', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const wait = client.lock(write('a'), { holdMs: 1000 });
  await null;
  const { ref } = connection.take('lock');
  connection.say({ action: 'lock', ref, id: '7', state: 'enqueued' });
  // It pings often, so that it knows closely when the hold began.
  for (let i = 0; i < 10; i++) {
    server.clock.advance(200);
    assert.equal(connection.heard.length, 1);
    connection.answerPings();
  }
  server.clock.advance(100);
  connection.say({ action: 'lock', ref, id: '7', state: 'acquired' });
  const { signal } = await wait;
  server.clock.advance(799);
  assert.equal(signal.aborted, false);
  server.clock.advance(1);
  assert.equal(codeOf(signal), 'expired');
});

test('a hold that began while disconnected may have begun when the connection broke', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const wait = client.lock(write('a'), { holdMs: 2000 });
  await null;
  const { ref } = connection.take('lock');
  connection.say({ action: 'lock', ref, id: '7', state: 'enqueued' });
  connection.end();
  const next = server.reconnection(1000);
  next.connection.say(...resumed(next.hello.ref, { ref, id: '7', state: 'acquired' }));
  const { signal } = await wait;
  server.clock.advance(799);
  assert.equal(signal.aborted, false);
  server.clock.advance(1);
  assert.equal(codeOf(signal), 'expired');
});

test('a grant whose holdMs may have passed already is an error', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const refused = assert.rejects(client.lock(write('a'), { holdMs: 100 }), { code: 'expired' });
  await null;
  const { ref } = connection.take('lock');
  connection.say({ action: 'lock', ref, id: '7', state: 'enqueued' });
  server.clock.advance(90);
  connection.say({ action: 'lock', ref, id: '7', state: 'acquired' });
  await refused;
  connection.heard.splice(0, connection.heard.length - 1);
  assert.equal(connection.take('release').id, '7');
});

test('early timers end nothing too late', async (t) => {
  const server = new ScriptedServer();
  const { setTimer } = server.clock;
  server.clock.setTimer = (delayMs, callback) =>
    setTimer.call(server.clock, Math.max(0, delayMs - 0.5), callback);
  const { client, connection } = await server.join(t);
  const wait = client.lock(write('a'), { holdMs: 1000 });
  await null;
  const { ref } = connection.take('lock');
  connection.say({ action: 'lock', ref, id: '7', state: 'acquired' });
  const [{ lock: other }, { signal }] = [
    await granted(client, connection, { id: '8' }),
    await wait,
  ];
  connection.end();
  server.clock.advance(901);
  assert.equal(codeOf(signal), 'expired');
  const last = other.signal;
  server.clock.advance(TRUST_MS - 900);
  assert.equal(codeOf(last), 'unconfirmed');
});

test('a connection without answers is dropped, and the session resumed', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock, ref } = await granted(client, connection);
  server.clock.advance(2 * PING_MS + 1000);
  assert.equal(connection.isOver, true);
  const next = server.reconnection(25);
  next.connection.say(...resumed(next.hello.ref, { ref, id: '7', state: 'acquired' }));
  assert.equal(lock.isHeld, true);
});

test('the process is kept alive only while something is awaited or held', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  assert.equal(server.isKeptAlive, false);
  const { lock } = await granted(client, connection);
  assert.equal(server.isKeptAlive, true);
  const released = lock.release();
  assert.equal(server.isKeptAlive, true);
  const { ref } = connection.take('release');
  connection.say({ action: 'release', ref, id: '7', state: 'released' });
  await released;
  assert.equal(server.isKeptAlive, false);
  await granted(client, connection);
  connection.end();
  assert.equal(server.isKeptAlive, true);
  server.clock.advance(TRUST_MS);
  assert.equal(server.isKeptAlive, false);
});

test('a closed client has no timer left', async (t) => {
  for (const isConnected of [true, false]) {
    const server = new ScriptedServer();
    const { client, connection } = await server.join(t);
    await granted(client, connection);
    const waits = [{ waitMs: 5000 }, { holdMs: 5000 }].map((options) =>
      assert.rejects(client.lock(write('b'), options), { code: 'closed' }),
    );
    await null;
    if (!isConnected) connection.end();
    const closed = client.close();
    if (isConnected) {
      for (const _ of waits) connection.take('lock');
      connection.say({ action: 'bye', ref: connection.take('bye').ref });
    }
    await Promise.all([closed, ...waits]);
    assert.equal(server.clock.pendingTimers, 0);
    assert.equal(server.isKeptAlive, false);
  }
});

test('an idle client keeps its promise of a heartbeat', async (t) => {
  const server = new ScriptedServer();
  const { connection } = await server.join(t);
  server.clock.advance(PING_MS);
  assert.equal(connection.heard[0]?.action, 'ping');
});

test('a release waits for its answer no longer than the lock could be held', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  connection.end();
  let isReleased = false;
  const released = lock.release().then(() => {
    isReleased = true;
  });
  server.clock.advance(TRUST_MS - 1);
  await null;
  assert.equal(isReleased, false);
  server.clock.advance(1);
  await released;
  assert.equal(lock.signal.aborted, false, 'it was given up before');
});

test('a longer hold counts once it is confirmed, from the sending of its extension', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection, { holdMs: 1000 });
  server.clock.advance(100);
  connection.answerPings();
  const extended = lock.extend(1000);
  await null;
  const { ref, ...request } = connection.take('extend');
  assert.deepEqual(request, { action: 'extend', id: '7', holdMs: 1000 });
  server.clock.advance(700);
  connection.say({ action: 'extend', ref, id: '7', holdMs: 1000 });
  await extended;
  const { signal } = lock;
  server.clock.advance(199);
  assert.equal(signal.aborted, false, 'the hold as it was would have ended 99 ms ago');
  server.clock.advance(1);
  assert.equal(codeOf(signal), 'expired');
});

test('a longer hold that is not confirmed does not count', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection, { holdMs: 1000 });
  const { signal } = lock;
  const extended = [lock.extend(null), lock.extend(5000)];
  await null;
  server.clock.advance(900);
  assert.equal(codeOf(signal), 'expired');
  for (const one of extended) await assert.rejects(one, (error) => error === signal.reason);
});

test('a shorter hold counts from the sending of its extension, confirmed or not', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  const { signal } = lock;
  const first = assert.rejects(lock.extend(1000), { code: 'expired' });
  await null;
  server.clock.advance(500);
  const second = assert.rejects(lock.extend(5000), { code: 'expired' });
  await null;
  server.clock.advance(399);
  assert.equal(signal.aborted, false);
  server.clock.advance(1);
  assert.equal(codeOf(signal), 'expired');
  await Promise.all([first, second]);
});

test('a refused extension leaves the hold as it was', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  const refused = assert.rejects(lock.extend(1000), { code: 'server_full', message: 'no room' });
  await null;
  const { ref } = connection.take('extend');
  const error = { code: 'server_full', message: 'no room' };
  connection.say({ action: 'extend', ref, error });
  await refused;
  server.clock.advance(1000);
  assert.equal(lock.isHeld, true);
});

test('an extension without an answer is sent again, and may have counted since the first time', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock, ref } = await granted(client, connection);
  const { signal } = lock;
  const extended = lock.extend(2000);
  await null;
  connection.end();
  const later = lock.extend(2500);
  await null;
  const next = server.reconnection(1000);
  next.connection.say(...resumed(next.hello.ref, { ref, id: '7', state: 'acquired' }));
  const [again, after] = [next.connection.take('extend'), next.connection.take('extend')];
  assert.deepEqual([again.holdMs, after.holdMs], [2000, 2500]);
  server.clock.advance(799);
  assert.equal(signal.aborted, false);
  next.connection.say({ action: 'extend', ref: again.ref, id: '7', holdMs: 2000 });
  await extended;
  server.clock.advance(1000);
  assert.equal(signal.aborted, false, 'it was sent again 1000 ms later');
  next.connection.say({ action: 'extend', ref: after.ref, id: '7', holdMs: 2500 });
  await later;
  server.clock.advance(450);
  assert.equal(signal.aborted, false);
  server.clock.advance(1);
  assert.equal(codeOf(signal), 'expired');
});

test('a lock that is extended in a handler of its loss, or of another, is lost all the same', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  const { lock: other } = await granted(client, connection, { id: '8' });
  const rejections: Promise<void>[] = [];
  lock.signal.addEventListener('abort', () => {
    for (const one of [lock, other]) {
      assert.equal(one.isHeld, false);
      rejections.push(assert.rejects(one.extend(5), { code: 'evicted' }));
    }
  });
  connection.say({ error: { code: 'evicted', message: 'out' } });
  assert.equal(rejections.length, 2);
  await Promise.all(rejections);
});

test('a client with a short hold pings often only as long as the hold is short', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection, { holdMs: 1000 });
  const extended = lock.extend(null);
  await null;
  connection.say({ action: 'extend', ref: connection.take('extend').ref, id: '7', holdMs: null });
  await extended;
  server.clock.advance(PING_MS - 1);
  const pings = connection.heard.length;
  assert.ok(pings <= 1, `${pings} pings`);
});
