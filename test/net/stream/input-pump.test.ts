/** A connection whose messages cost much is read again when others have been served. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ChunkReader, InputPump } from '../../../src/net/stream/input-pump.ts';
import { OutputBuffer } from '../../../src/net/stream/output-buffer.ts';
import { makeStreamHost } from '../../../src/net/stream/stream-host.ts';
import { FakeSocket } from '../../simulation/fake-socket.ts';
import { SimulatedClock } from '../../simulation/simulated-clock.ts';

/** A clock whose time the test moves while code runs. */
class MovedClock extends SimulatedClock {
  spentMs = 0;

  override now(): number {
    return super.now() + this.spentMs;
  }
}

/** Pumps of one server. Each byte of input is a message that takes as many milliseconds and may be costly. */
function setUp() {
  const clock = new MovedClock();
  const streams = makeStreamHost(clock, 1_000_000, { sharedReads: false });
  const heard: string[] = [];
  const connect = (name: string) => {
    const socket = new FakeSocket(
      clock,
      () => {},
      () => {},
    );
    const output = new OutputBuffer(socket.asSocket, streams, 1_000_000, () => {});
    let isPaused = false;
    const reader: ChunkReader = {
      push(chunk) {
        isPaused = false;
        let at = 0;
        while (at < chunk.length && !isPaused) {
          const text = chunk.toString('latin1', at, ++at);
          heard.push(name + text);
          clock.spentMs += Number(text);
          pump.yieldTurn();
        }
        return at;
      },
      pause: () => (isPaused = true),
    };
    const pump = new InputPump(socket.asSocket, streams, output, reader, () =>
      heard.push(`${name} ended`),
    );
    pump.start();
    return { socket, pump, send: (text: string) => socket.deliver(Buffer.from(text)) };
  };
  /** Whether the turn that is taken was all that there was to do. */
  const turn = (): boolean => {
    clock.runTurn();
    return !clock.hasTurns;
  };
  return { clock, streams, heard, connect, turn };
}

test('a message that cost much is followed by as much time for others, also where it came alone', () => {
  const { clock, streams, heard, connect, turn } = setUp();
  const busy = connect('busy ');
  busy.send('4');
  busy.send('4');
  assert.deepEqual(heard, ['busy 4'], 'what follows is not read');
  for (let i = 0; i < 3; i++) {
    streams.turnQueue.othersArrived();
    clock.spentMs++;
    assert.equal(turn(), false);
  }
  assert.deepEqual(heard, ['busy 4']);
  streams.turnQueue.othersArrived();
  clock.spentMs++;
  turn();
  assert.deepEqual(heard, ['busy 4', 'busy 4']);
});

test('a connection that is alone does not rest for what it sends itself', () => {
  const { heard, connect, turn } = setUp();
  const { send } = connect('');
  send('404');
  for (const expected of [['4'], ['4', '0'], ['4', '0', '4']]) {
    assert.deepEqual(heard, expected);
    turn();
  }
  send('4');
  assert.equal(heard.length, 4);
});

test('of many connections whose messages cost much, one is read in each turn', () => {
  const { clock, heard, connect } = setUp();
  const names = ['a', 'b', 'c', 'd'];
  const connections = names.map(connect);
  for (const { send } of connections) send('3');
  assert.deepEqual(heard, ['a3', 'b3', 'c3', 'd3'], 'none was known to be costly');
  for (const { send } of connections) send('3');
  clock.spentMs += 100;
  for (let count = 1; count <= names.length; count++) {
    clock.runTurn();
    clock.spentMs += 100;
    assert.equal(heard.length, names.length + count);
  }
  assert.deepEqual(heard.slice(4), ['a3', 'b3', 'c3', 'd3']);
});

test('a message that might have cost much, but did not, is followed at once', () => {
  const { clock, heard, connect } = setUp();
  const { send } = connect('');
  send('0');
  send('0');
  assert.deepEqual(heard, ['0', '0']);
  assert.equal(clock.hasTurns, false);
});

test('it is known since when input may be unread', () => {
  const { clock, connect } = setUp();
  const { pump, send } = connect('');
  assert.equal(pump.heldAgoMs, Number.POSITIVE_INFINITY);
  send('5');
  clock.spentMs += 40;
  assert.equal(pump.heldAgoMs, 0);
  clock.runTurn();
  assert.equal(pump.heldAgoMs, 0);
  clock.spentMs += 3;
  assert.equal(pump.heldAgoMs, 3);
});

test('the end of the input of a connection that waits is not lost', () => {
  const { clock, heard, connect } = setUp();
  const { socket, send } = connect('');
  send('5');
  socket.halfClose();
  assert.deepEqual(heard, ['5']);
  while (clock.hasTurns) {
    clock.spentMs += 10;
    clock.runTurn();
  }
  assert.deepEqual(heard, ['5', ' ended']);
});
