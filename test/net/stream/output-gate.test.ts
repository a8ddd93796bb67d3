/** Output and input of a connection while a store holds output back, or is behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ChunkReader, InputPump } from '../../../src/net/stream/input-pump.ts';
import { OutputBuffer, type OutputGate } from '../../../src/net/stream/output-buffer.ts';
import { makeStreamHost } from '../../../src/net/stream/stream-host.ts';
import { FakeSocket } from '../../simulation/fake-socket.ts';
import { SimulatedClock } from '../../simulation/simulated-clock.ts';

type Job = () => void;

/** A store in the hands of the test. */
class TestGate implements OutputGate {
  /** Something has changed that is not stored. */
  isDirty = false;
  isBehind = false;
  heldBackBytes = 0;
  #waiting: Job[] = [];
  #caughtUp: Job[] = [];

  whenStored(job: Job, bytes = 0): void {
    if (!this.isDirty) job();
    else this.#waiting.push(job);
    if (this.isDirty) this.heldBackBytes += bytes;
  }

  whenCaughtUp(job: Job): void {
    this.#caughtUp.push(job);
  }

  stored(): void {
    this.isDirty = false;
    this.heldBackBytes = 0;
    for (const job of this.#waiting.splice(0)) job();
    for (const job of this.#caughtUp.splice(0)) job();
  }
}

function setUp(maxUnreadBytes = 200_000) {
  const gate = new TestGate();
  const clock = new SimulatedClock();
  const streams = makeStreamHost(clock, 1_000_000, { gate });
  const events: string[] = [];
  const socket = new FakeSocket(
    clock,
    (bytes) => events.push(bytes.length > 99 ? `${bytes.length} bytes` : String(bytes)),
    () => events.push('FIN'),
  );
  const output = new OutputBuffer(socket.asSocket, streams, maxUnreadBytes, () =>
    events.push('overflow'),
  );
  /** The code that runs now has finished. */
  const done = (): void => clock.runSoon();
  return { gate, clock, streams, socket, output, events, done };
}

test('output waits until what it depends on is stored; a little of it does not count as unread', () => {
  const { gate, output, events, done } = setUp();
  output.push('a');
  done();
  assert.deepEqual(events, ['a'], 'nothing has changed');
  gate.isDirty = true;
  output.push('b');
  done();
  output.push('cc');
  done();
  assert.deepEqual([events, output.unreadBytes, gate.heldBackBytes], [['a'], 0, 3]);
  gate.stored();
  assert.deepEqual([events, output.unreadBytes], [['a', 'b', 'cc'], 0]);
});

test('replies wait like notifications', () => {
  const { gate, clock, output, events } = setUp();
  gate.isDirty = true;
  output.answering();
  output.push('reply');
  output.answered();
  clock.runTurn();
  assert.deepEqual(events, []);
  gate.stored();
  assert.deepEqual(events, ['reply']);
});

test('a change that is recorded after the output that reports it counts', () => {
  const { gate, output, events, done } = setUp();
  output.push('released');
  gate.isDirty = true;
  done();
  assert.deepEqual(events, []);
  gate.stored();
  assert.deepEqual(events, ['released']);
});

test('so it does if much is pending, which is otherwise written at once', () => {
  const { gate, output, events, done } = setUp();
  output.answering();
  output.push('x'.repeat(65_536));
  output.push('released');
  output.push('more');
  assert.deepEqual(events, []);
  gate.isDirty = true;
  output.answered();
  done();
  assert.deepEqual(events, []);
  gate.stored();
  assert.deepEqual(events, ['65548 bytes']);
});

test('what is held back counts towards the limit of unread output', () => {
  const { gate, output, events, done } = setUp(10);
  gate.isDirty = true;
  output.push('12345');
  done();
  output.push('67890');
  done();
  assert.deepEqual(events, []);
  output.push('x');
  done();
  assert.deepEqual(events, ['overflow']);
  gate.stored();
  assert.deepEqual(events, ['overflow'], 'the rest is discarded');
});

test('a closed connection discards what is held back, and its account is settled', () => {
  const { gate, streams, output, events, done } = setUp();
  gate.isDirty = true;
  output.push('x'.repeat(100_000));
  assert.ok(streams.budget.kept > 0);
  done();
  output.close();
  gate.stored();
  assert.deepEqual([events, streams.budget.kept], [[], 0]);
});

test('the budget of all connections counts what is held back until it is read', () => {
  const { gate, streams, socket, output, done } = setUp();
  gate.isDirty = true;
  output.push('x'.repeat(100_000));
  done();
  output.push('y');
  assert.ok(streams.budget.kept > 80_000);
  gate.stored();
  socket.drained();
  done();
  output.close();
  assert.equal(streams.budget.kept, 0);
});

test('a connection ends when its last output is stored, and ignores what is pushed later', () => {
  const { gate, socket, output, events, done } = setUp();
  output.push('goodbye');
  output.finish(() => socket.end());
  // The session ends after its client is answered.
  gate.isDirty = true;
  output.push('ghost');
  done();
  assert.deepEqual(events, []);
  gate.stored();
  assert.deepEqual(events, ['goodbye', 'FIN']);
});

test('the last words of a connection whose peer is behind go out before its end', () => {
  const { gate, socket, output, events, done } = setUp();
  socket.isStalled = true;
  output.push('a');
  done();
  gate.isDirty = true;
  output.push('b');
  done();
  output.push('last words');
  output.finish(() => socket.end());
  gate.stored();
  done();
  assert.deepEqual(events, ['a', 'b', 'last words', 'FIN']);
});

test('a connection that has nothing to say ends at once if nothing has changed', () => {
  const { socket, output, events, done } = setUp();
  output.finish(() => socket.end());
  done();
  assert.deepEqual(events, ['FIN']);
});

/** A pump whose reader takes what the test allows, and a socket that feeds it. */
function setUpPump() {
  const parts = setUp();
  const { socket, streams, output, events } = parts;
  const reader: ChunkReader & { most: number } = {
    most: Number.POSITIVE_INFINITY,
    push(chunk) {
      const taken = Math.min(chunk.length, this.most);
      if (taken > 0) events.push(chunk.toString('latin1', 0, taken));
      return taken;
    },
    pause() {},
  };
  const pump = new InputPump(
    socket.asSocket,
    { ...streams, sharedReads: false },
    output,
    reader,
    () => events.push('end'),
  );
  pump.start();
  const send = (text: string): void => socket.deliver(Buffer.from(text));
  return { ...parts, reader, send };
}

test('nothing more is read while the store is behind, and reading goes on when it is not', () => {
  const { gate, events, send, done } = setUpPump();
  send('a');
  gate.isBehind = true;
  send('b');
  send('c');
  send('d');
  assert.deepEqual(events, ['a', 'b']);
  gate.stored();
  done();
  assert.deepEqual(events, ['a', 'b'], 'it is still behind');
  gate.isBehind = false;
  gate.stored();
  done();
  assert.deepEqual(events, ['a', 'b', 'c', 'd']);
  send('e');
  assert.equal(events.at(-1), 'e');
});

test('the end of the input waits for the store, too', () => {
  const { gate, socket, events, send, done } = setUpPump();
  gate.isBehind = true;
  send('a');
  socket.halfClose();
  assert.deepEqual(events, ['a']);
  gate.isBehind = false;
  gate.stored();
  done();
  assert.deepEqual(events, ['a', 'end']);
});

test('a reader that pauses goes on in its turns, and then waits for the store', () => {
  const { gate, clock, reader, events, send, done } = setUpPump();
  gate.isBehind = true;
  reader.most = 2;
  send('abc');
  send('d');
  assert.deepEqual(events, ['ab']);
  clock.runTurn();
  assert.deepEqual(events, ['ab', 'c']);
  assert.equal(clock.hasTurns, false);
  gate.isBehind = false;
  gate.stored();
  done();
  assert.deepEqual(events, ['ab', 'c', 'd']);
});
