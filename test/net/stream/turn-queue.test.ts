/** What connections put off: in order, and for a bounded time of each turn. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
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
  return { clock, done, put };
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
