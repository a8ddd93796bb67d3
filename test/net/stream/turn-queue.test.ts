/** What connections put off: in order, and for a bounded time of each turn. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { HttpTurns } from '../../../src/net/http/request-turns.ts';
import { TurnQueue } from '../../../src/net/stream/turn-queue.ts';
import { FakeClock } from '../../support/fake-clock.ts';

/** A clock whose turns the test takes. */
class SteppedClock extends FakeClock {
  readonly turns: (() => void)[] = [];

  override nextTurn(job: () => void): void {
    this.turns.push(job);
  }

  /** Takes one turn. */
  turn(): void {
    for (const job of this.turns.splice(0)) job();
  }
}

function setUp() {
  const clock = new SteppedClock();
  const queue = new TurnQueue(clock);
  const done: string[] = [];
  const put = (name: string, ms: number, then?: () => void): void =>
    queue.nextTurn(() => {
      clock.advance(ms);
      done.push(name);
      then?.();
    });
  /** The next request of a connection whose last one cost `ms`: it is read after the turn. */
  const putNext = (name: string, ms: number): void =>
    queue.nextTurn(() => void done.push(name), ms);
  /** A turn in which `ms` were spent on what others sent. */
  const turnWithInput = (ms: number): void => {
    queue.othersArrived();
    clock.advance(ms);
    clock.turn();
  };
  return { clock, queue, done, put, putNext, turnWithInput };
}

test('what costs little runs in one turn, in order', () => {
  const { clock, done, put } = setUp();
  for (const name of ['a', 'b', 'c']) put(name, 0.5);
  assert.deepEqual(done, []);
  clock.turn();
  assert.deepEqual(done, ['a', 'b', 'c']);
  assert.equal(clock.turns.length, 0, 'nothing is left to do');
});

test('what costs much has a turn each, whoever put it off', () => {
  const { clock, done, put } = setUp();
  for (const name of ['a', 'b', 'c']) put(name, 5);
  for (const expected of [['a'], ['a', 'b'], ['a', 'b', 'c']]) {
    clock.turn();
    assert.deepEqual(done, expected);
  }
  assert.equal(clock.turns.length, 0);
});

test('what is put off meanwhile waits for the next turn, behind the others', () => {
  const { clock, done, put } = setUp();
  put('a', 0, () => put('again', 0));
  put('b', 0);
  clock.turn();
  assert.deepEqual(done, ['a', 'b']);
  clock.turn();
  assert.deepEqual(done, ['a', 'b', 'again']);
});

test('what costs much is followed by as long for the others', () => {
  const { clock, done, putNext, turnWithInput } = setUp();
  putNext('a', 1);
  for (let i = 0; i < 4; i++) {
    turnWithInput(0.2);
    assert.deepEqual(done, [], 'others have not had as much yet');
  }
  turnWithInput(0.2);
  assert.deepEqual(done, ['a']);
  assert.equal(clock.turns.length, 0);
});

test('with nothing to do for others it goes on soon', () => {
  const { clock, done, putNext, turnWithInput } = setUp();
  putNext('a', 100);
  turnWithInput(0);
  clock.advance(0.2);
  clock.turn();
  assert.deepEqual(done, [], 'a client that has just been answered may ask again');
  clock.advance(0.1);
  clock.turn();
  assert.deepEqual(done, ['a']);
});

test('of many whose requests cost much, each turn lets as many on as it has time for', () => {
  const { clock, done, putNext } = setUp();
  clock.advance(10);
  for (const name of ['a', 'b', 'c', 'd', 'e']) putNext(name, 0.9);
  clock.turn();
  assert.deepEqual(done, ['a', 'b', 'c']);
  clock.turn();
  assert.deepEqual(done, ['a', 'b', 'c', 'd', 'e']);
});

test('what was put off and costs much is followed by as long for the others, too', () => {
  const { clock, done, put, putNext, turnWithInput } = setUp();
  put('a', 5, () => putNext('b', 5));
  clock.turn();
  assert.deepEqual(done, ['a']);
  for (let i = 0; i < 4; i++) turnWithInput(1);
  assert.deepEqual(done, ['a']);
  turnWithInput(1);
  assert.deepEqual(done, ['a', 'b']);
});

test('an HTTP request that costs much is followed by as long for the others', () => {
  const { clock, queue, done, turnWithInput } = setUp();
  const turns = new HttpTurns(queue, clock);
  const socket = new PassThrough();
  for (const name of ['a', 'b']) {
    turns.take(socket, () => {
      clock.advance(2);
      done.push(name);
    });
  }
  turnWithInput(1);
  assert.deepEqual(done, ['a']);
  turnWithInput(1);
  assert.deepEqual(done, ['a', 'b']);
});

test('a costly HTTP request waits though it is the first, and is dropped with its connection', () => {
  const { clock, queue, done } = setUp();
  const turns = new HttpTurns(queue, clock);
  const sockets = [new PassThrough(), new PassThrough(), new PassThrough()];
  for (const [i, socket] of sockets.entries()) {
    turns.take(
      socket,
      () => {
        clock.advance(2);
        done.push(`${i}`);
      },
      true,
    );
  }
  turns.take(new PassThrough(), () => done.push('probe'));
  assert.deepEqual(done, ['probe']);
  sockets[1]?.destroy();
  clock.turn();
  assert.deepEqual(done, ['probe', '0']);
  clock.turn();
  assert.deepEqual(done, ['probe', '0', '2']);
});

test('what costs little waits for nothing', () => {
  const { done, putNext, turnWithInput } = setUp();
  putNext('a', 0.05);
  turnWithInput(0);
  assert.deepEqual(done, ['a']);
});

test('what costs much one after the other is followed by as long as all of it took', () => {
  const { clock, done, putNext, turnWithInput } = setUp();
  for (const name of ['a', 'b', 'c']) {
    clock.advance(1);
    putNext(name, 1);
  }
  for (let i = 0; i < 2; i++) turnWithInput(1);
  assert.deepEqual(done, []);
  turnWithInput(1);
  assert.deepEqual(done, ['a', 'b']);
});

test('costly requests of ever new connections do not keep those that wait from going on', () => {
  const { done, putNext, turnWithInput } = setUp();
  putNext('a', 1);
  for (let spentMs = 0; spentMs < 100; spentMs++) {
    assert.deepEqual(done, []);
    putNext('new', 1);
    turnWithInput(1);
  }
  assert.deepEqual(done, ['a', 'new']);
});
