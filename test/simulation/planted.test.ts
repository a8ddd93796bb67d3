/** Bugs planted in the code that carries the bytes: the simulation must find each of them. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { InputPump } from '../../src/net/stream/input-pump.ts';
import { OutputBuffer } from '../../src/net/stream/output-buffer.ts';
import { Random } from '../support/random.ts';
import { World } from './world.ts';

/** Rounds within which the simulation must find a bug. */
const ROUNDS = 30;

const PUMP = { ...methodsOf(InputPump.prototype, 'take') };
const OUTPUT = { ...methodsOf(OutputBuffer.prototype, 'finish', 'flushUnlessItMayWait') };

function methodsOf<T extends object, K extends keyof T>(prototype: T, ...names: K[]): Pick<T, K> {
  const entries = names.map((name) => [name, prototype[name]]);
  return Object.fromEntries(entries) as Pick<T, K>;
}

/** Plays with the bug until it is found, and removes the bug again. */
function findingOf(plant: () => void): string {
  plant();
  try {
    for (let seed = 1; seed <= ROUNDS; seed++) new World(new Random(seed)).play();
    return 'nothing';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    Object.assign(InputPump.prototype, PUMP);
    Object.assign(OutputBuffer.prototype, OUTPUT);
  }
}

test('finds lines of a chunk that are read out of order', () => {
  const found = findingOf(() => {
    const swapped = new WeakSet<Buffer>();
    InputPump.prototype.take = function take(chunk) {
      const end = chunk.indexOf('\n') + 1;
      if (end > 0 && end < chunk.length && chunk.at(-1) === 10 && !swapped.has(chunk)) {
        const turned = Buffer.concat([chunk.subarray(end), chunk.subarray(0, end)]);
        swapped.add(turned);
        PUMP.take.call(this, turned);
      } else PUMP.take.call(this, chunk);
    };
  });
  assert.match(found, /lines arrive as they were written/);
});

test('finds the rest of a paused chunk that is kept without a copy', () => {
  const { from } = Buffer;
  try {
    const found = findingOf(() => {
      InputPump.prototype.take = function take(chunk) {
        Object.assign(Buffer, {
          from: (what: unknown) => (what instanceof Buffer ? what : from(what as string)),
        });
        PUMP.take.call(this, chunk);
        Object.assign(Buffer, { from });
      };
    });
    assert.match(found, /lines arrive as they were written/);
  } finally {
    Object.assign(Buffer, { from });
  }
});

test('finds replies that are lost when their flush meets the end', () => {
  const found = findingOf(() => {
    OutputBuffer.prototype.finish = function finish() {
      this.close();
    };
  });
  assert.match(found, /nothing that was said is lost at the end/);
});

test('finds a reply that waits for another turn and is then forgotten', () => {
  const found = findingOf(() => {
    let flushes = 0;
    OutputBuffer.prototype.flushUnlessItMayWait = function flush() {
      if (++flushes % 50 !== 0) OUTPUT.flushUnlessItMayWait.call(this);
    };
  });
  assert.match(found, /deep-equal|what is written is what was said/);
});
