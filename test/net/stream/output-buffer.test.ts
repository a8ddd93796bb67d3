/** The outbox: one write a turn, bytes as they are, and a bound on what a slow reader costs. */
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { OutputBuffer } from '../../../src/net/stream/output-buffer.ts';
import { makeStreamHost } from '../../../src/net/stream/stream-host.ts';
import { toByteString } from '../../../src/runtime/byte-string.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { lock, write } from '../../support/line-client.ts';
import { setUp as startLines, take } from '../../support/line-server.ts';
import { until } from '../../support/running-server.ts';

/** All buffers of a server share it. */
const streams = makeStreamHost(systemClock, 2 ** 30);

/** A stream that keeps its writes; with `isStuck`, its peer reads nothing. */
function setUp(maxUnreadBytes = 100, isStuck = false, host = streams) {
  const writes: Buffer[] = [];
  const target = new Writable({
    highWaterMark: 10,
    write(chunk: Buffer, _encoding, done) {
      writes.push(chunk);
      if (!isStuck) done();
    },
  });
  let overflows = 0;
  const output = new OutputBuffer(target, host, maxUnreadBytes, () => {
    overflows++;
  });
  const job = () => new Promise<void>((resolve) => queueMicrotask(resolve));
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  return { writes, target, output, job, turn, overflows: () => overflows };
}

function textOf({ writes }: { writes: Buffer[] }): string[] {
  return writes.map(String);
}

test('news leave in one write when what brought them about is done', async () => {
  const { writes, output, job } = setUp();
  output.push('a');
  output.push('b');
  assert.deepEqual(writes, []);
  await job();
  output.push('c');
  await job();
  assert.deepEqual(writes.map(String), ['ab', 'c']);
});

test('answers leave in one write after all that came was read, and news before them', async () => {
  const [one, two] = [setUp(), setUp()];
  one.output.answering();
  one.output.push('a');
  one.output.answered();
  two.output.push('news');
  await two.job();
  assert.deepEqual([one, two].map(textOf), [[], ['news']]);
  one.output.answering();
  one.output.push('b');
  one.output.answered();
  one.output.push('c');
  await one.job();
  assert.deepEqual(textOf(one), ['abc']);
});

test('an answer that may wait goes out a turn later, or with the next that may not', async () => {
  const { writes, output, turn } = setUp();
  const answer = (bytes: string, mayWait: boolean): void => {
    output.answering();
    output.push(bytes, mayWait);
    output.answered();
  };
  answer('a', true);
  await turn();
  assert.deepEqual(writes.map(String), []);
  answer('b', true);
  await turn();
  assert.deepEqual(writes.map(String), ['ab']);
  answer('c', true);
  answer('d', false);
  await turn();
  assert.deepEqual(writes.map(String), ['ab', 'cd']);
  answer('e', true);
  await turn();
  await turn();
  assert.deepEqual(writes.map(String), ['ab', 'cd', 'e']);
});

test('of many connections the first are answered before the last are read', async () => {
  const all = Array.from({ length: 300 }, () => setUp());
  for (const { output } of all) {
    output.answering();
    output.push('a');
    output.answered();
  }
  const isWritten = all.map(({ writes }) => writes.length === 1);
  assert.equal(isWritten.indexOf(false), 256);
  await all[0]?.turn();
  assert.ok(all.every(({ writes }) => writes.length === 1));
});

test('of notifications for many connections a turn writes some, and replies do not wait for them', async () => {
  const flushedTogether = { replies: 256, notifications: 2 };
  const host = makeStreamHost(systemClock, 2 ** 30, { flushedTogether });
  const some = () => setUp(100, false, host);
  const all = [some(), some(), some(), some(), some()] as const;
  const client = some();
  for (const { output } of all) output.push('a');
  await client.job();
  const written = (): string[] => all.map((one) => textOf(one).join(' '));
  assert.deepEqual(written(), ['a', 'a', '', '', '']);
  client.output.answering();
  client.output.push('reply');
  client.output.answered();
  all[0].output.push('b');
  all[4].output.push('b');
  await client.turn();
  assert.deepEqual(textOf(client), ['reply']);
  assert.deepEqual(written(), ['a b', 'a', 'a', 'a', '']);
  await client.turn();
  assert.deepEqual(written(), ['a b', 'a', 'a', 'a', 'ab']);
});

test('events for many watchers are written to some in a turn', async () => {
  const flushedTogether = { replies: 1, notifications: 2 };
  const host = makeStreamHost(systemClock, 2 ** 30, { flushedTogether });
  const all = [1, 2, 3].map(() => setUp(100, false, host));
  const written = (): string[] => all.map((one) => textOf(one).join(' '));
  for (const { output } of all) output.push('a', true);
  for (const { output } of all) output.push('b', true);
  assert.deepEqual(written(), ['', '', '']);
  await new Promise(setImmediate);
  assert.deepEqual(written(), ['ab', 'ab', '']);
  await new Promise(setImmediate);
  assert.deepEqual(written(), ['ab', 'ab', 'ab']);
});

test('news take with them whatever waits', async () => {
  const { writes, output, turn, job } = setUp();
  output.answering();
  output.push('enqueued ', true);
  output.answered();
  output.push('acquired');
  await job();
  assert.deepEqual(writes.map(String), ['enqueued acquired']);
  await turn();
  await turn();
  assert.equal(writes.length, 1);
});

test('whoever has nothing to answer writes nothing', async () => {
  const { writes, output, turn } = setUp();
  output.answering();
  output.answered();
  await turn();
  assert.deepEqual(writes, []);
});

test('much is not gathered, but written at once', async () => {
  const { writes, output, turn } = setUp(200_000);
  output.push('x'.repeat(65_536));
  assert.equal(writes.length, 0);
  output.push('y');
  assert.equal(writes.length, 1);
  output.push('z');
  await turn();
  assert.deepEqual(
    writes.map(({ length }) => length),
    [65_537, 1],
  );
});

test('text goes out as UTF-8', async () => {
  const { writes, output, turn } = setUp();
  output.push(toByteString('ascii grün 🐙 \ud800'));
  await turn();
  assert.equal(String(writes[0]), 'ascii grün 🐙 \ufffd');
});

test('up to the bound is kept for a peer that does not read; one byte more overflows, once', async () => {
  const { output, turn, overflows, writes } = setUp(100, true);
  output.push('x'.repeat(60));
  await turn();
  output.push('y'.repeat(40));
  await turn();
  assert.equal(overflows(), 0);
  output.push('z');
  output.push('z');
  assert.equal(overflows(), 1);
  await turn();
  assert.deepEqual(writes.map(String), ['x'.repeat(60)]);
});

test('one long answer does not count, but what comes beside it does, and the next one', async () => {
  const { output, turn, overflows } = setUp(100, true);
  const answer = (bytes: number): void => {
    output.answering();
    output.longAnswer();
    for (let i = 0; i < bytes; i += 50) output.push('x'.repeat(50));
    output.answered();
  };
  output.push('n'.repeat(50));
  answer(1000);
  await turn();
  output.push('n'.repeat(50));
  assert.equal(overflows(), 0);
  answer(50);
  assert.equal(overflows(), 1);
});

test('a short answer behind a long one that is unread does not make that count', () => {
  const { output, overflows } = setUp(100, true);
  for (const bytes of [1000, 50, 50]) {
    output.answering();
    output.longAnswer();
    output.push('x'.repeat(bytes));
    output.answered();
  }
  assert.equal(overflows(), 0);
  output.push('n');
  assert.equal(overflows(), 1);
});

test('a long answer that has been read leaves no room beyond the bound', async () => {
  const { output, target, turn, overflows } = setUp(100);
  output.answering();
  output.longAnswer();
  output.push('x'.repeat(1000));
  output.answered();
  await turn();
  assert.equal(target.writableLength, 0);
  output.push('n');
  output.push('n'.repeat(100));
  assert.equal(overflows(), 0);
  output.push('n');
  assert.equal(overflows(), 1);
});

test('what a peer leaves unread is kept as bytes, and not in small pieces', async () => {
  const chunks: unknown[] = [];
  const finish: (() => void)[] = [];
  const target = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      chunks.push(chunk);
      finish.push(done);
    },
  });
  const output = new OutputBuffer(target, streams, 1_000_000, () => assert.fail('too much'));
  const say = async (text: string): Promise<void> => {
    output.push(text);
    await null;
  };
  await say('read\n');
  for (let i = 0; i < 2000; i++) await say(`${i}\n`);
  while (finish.length > 0) {
    finish.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const [first, ...kept] = chunks;
  assert.equal(first, 'read\n');
  // The last was written when nothing was unread any more.
  assert.ok(kept.slice(0, -1).every(Buffer.isBuffer));
  assert.ok(kept.length < 5, `${kept.length} writes`);
  assert.equal(kept.join(''), Array.from({ length: 2000 }, (_, i) => `${i}\n`).join(''));
  await say('again\n');
  assert.equal(chunks.at(-1), 'again\n');
});

test('finishing writes what has gathered; later pushes are ignored, and the stream is left alone', async () => {
  const { writes, output, turn, target } = setUp();
  output.push('last words');
  output.finish(() => {});
  output.push('ghost');
  output.finish(() => {});
  await turn();
  assert.deepEqual(writes.map(String), ['last words']);
  assert.equal(target.writableEnded, false);
});

test('closing forgets what has gathered and leaves the stream alone', async () => {
  const { writes, output, turn, target } = setUp();
  output.push('never said');
  output.close();
  await turn();
  assert.deepEqual(writes, []);
  assert.equal(target.writableEnded, false);
});

test('replies up to the bound may wait to be read; one byte more is a lost connection', async (t) => {
  const maxUnreadBytes = 100 * '{"action":"ping"}\n'.length;
  const { connect, greet, server, clock } = await startLines(t, { limits: { maxUnreadBytes } });
  const { client, session } = await greet({ abandonTimeoutMs: 5000 });
  const witness = await connect();
  await client.ask(lock(write('a')));
  await witness.ask(lock(write('a')));
  const pings = Array(100).fill({ action: 'ping' });
  client.send(...pings);
  assert.equal((await take(client, 100)).length, 100);
  // 13 bytes more.
  client.send(...pings.slice(1), { action: 'ping', ref: 12345 });
  await client.ended();
  await until(() => server.counts.connections === 1);
  clock.advance(4999);
  const { client: again } = await greet({ session });
  assert.equal((await again.next()).state, 'acquired', 'it can be resumed');
  again.send(...pings, ...pings);
  await again.ended();
  await until(() => server.counts.connections === 1);
  clock.advance(4999);
  assert.equal(server.counts.sessions, 2);
  clock.advance(1);
  assert.equal((await witness.next()).state, 'acquired');
  assert.equal(server.counts.sessions, 1);
});

test('lists longer than the bound reach a client that reads: a session can always be resumed', async (t) => {
  const { greet, cut } = await startLines(t, { limits: { maxUnreadBytes: 1000 } });
  const { client, session } = await greet();
  for (let i = 0; i < 100; i++) await client.ask({ ...lock(write('a', `${i}`)), ref: i });
  await cut(client);
  const { client: again } = await greet({ session });
  assert.equal((await take(again, 100)).at(-1)?.ref, 99);
  again.send({ action: 'inspect' });
  assert.equal((await take(again, 101)).at(-1)?.end, true);
  again.send(...Array(40).fill({ action: 'stats' }));
  await again.ended();
});
