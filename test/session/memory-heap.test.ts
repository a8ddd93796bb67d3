/** The estimates of memory beside the truth: the heap, for each thing that is kept for a client. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Channel } from '../../src/protocol/channel.ts';
import { Watching } from '../../src/protocol/watching.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { LockTerms, Ref } from '../../src/session/lock-record.ts';
import { Session } from '../../src/session/session.ts';
import type { SessionHost } from '../../src/session/session-host.ts';
import type { Resource } from '../../src/table/resource.ts';
import { heapUsed } from '../support/heap.ts';
import { read, write } from '../support/resources.ts';
import { mustGet, setUp } from '../support/session-host.ts';

interface Ground {
  readonly host: SessionHost;
  readonly session: Session;
}

const PEER = setUp().peerOf('a');

/** Makes the thing number `i`. */
type Make = (i: number, ground: Ground) => unknown;

const NO_TERMS = {
  ref: undefined,
  waitMs: undefined,
  holdMs: undefined,
  owner: undefined,
  label: undefined,
};

/** A text of its own, as the decoder makes it: 256 characters of two bytes. */
function word(start: string): string {
  return JSON.parse(JSON.stringify(start.padEnd(256, '€')));
}

function locks(
  resourcesOf: (i: number) => Resource[],
  termsOf?: (i: number) => LockTerms & { ref?: Ref | undefined },
): Make {
  return (i, { session }) =>
    mustGet(session, { ...NO_TERMS, ...termsOf?.(i) }, ...resourcesOf(i).slice());
}

function sessions(settingsOf: (i: number) => object, isLost: boolean): Make {
  return (i, { host }) => {
    const name = JSON.parse(`"${`name ${i}`.padEnd(32, 'x')}"`);
    const usual = {
      namespace: 'shop',
      abandonTimeoutMs: 60_000,
      client: '192.0.2.1:50000',
      key: name,
    };
    const session = new Session(host, { ...usual, label: undefined, ...settingsOf(i) }, PEER);
    if (isLost) session.lose(PEER);
  };
}

function watches(pathOf: (i: number) => string[]): Make {
  const channel = { unreadBytes: 0, reply: () => {} };
  return (i, { session, host: { clock } }) => {
    // Nothing else of a channel is asked for.
    const host = { clock, startedMs: 0 };
    const watching = new Watching(channel as unknown as Channel, session.namespace, host);
    assert.ok(watching.add(pathOf(i)));
  };
}

const own = (i: number): Resource[] => [write(`path ${i}`)];
const deep = (i: number): string[] => [`${i}`, ...Array.from({ length: 99 }, (_, k) => `s${k}`)];

const THINGS: readonly [name: string, count: number, make: Make][] = [
  ['a lock', 3000, locks(own)],
  ['a lock on two segments', 3000, locks((i) => [write('top', `leaf ${i}`)])],
  ['a lock on two segments of its own', 3000, locks((i) => [write(`top ${i}`, `leaf ${i}`)])],
  ['a read of the root', 3000, locks(() => [read()])],
  ['a limited read', 3000, locks((i) => [{ type: 'read', path: [`${i}`], limit: 3 }])],
  ['a lock that waits', 3000, locks(() => [write('a')])],
  ['a deep lock', 200, locks((i) => [write(...deep(i))])],
  ['a long segment', 2000, locks((i) => [write(word(`${i}`))])],
  ['many resources', 20, locks((i) => Array.from({ length: 500 }, (_, k) => read(`${i}.${k}`)))],
  [
    'many limited reads',
    20,
    locks((i) =>
      Array.from({ length: 500 }, (_, k) => ({ type: 'read', path: [`${i}.${k}`], limit: 3 })),
    ),
  ],
  [
    'many deep resources',
    20,
    locks((i) => Array.from({ length: 50 }, (_, k) => write(...deep(i), `${k}`))),
  ],
  ['a large ref', 3000, locks(own, (i) => ({ ref: i * 2 ** 33 }))],
  ['a long ref', 2000, locks(own, (i) => ({ ref: word(`${i}`) }))],
  ['a label', 2000, locks(own, (i) => ({ label: word(`${i}`) }))],
  ['an owner', 2000, locks(own, (i) => ({ owner: `${i}` }))],
  ['an owner with a long name', 2000, locks(own, (i) => ({ owner: word(`${i}`) }))],
  ['one owner for all', 2000, locks(own, () => ({ owner: word('one') }))],
  ['a limit in time', 2000, locks(own, (i) => ({ holdMs: 1_000_000 + i }))],
  ['a limit far away', 2000, locks(own, (i) => ({ holdMs: 2 ** 40 + i }))],
  [
    'a limited wait',
    2000,
    locks(
      () => [write('a')],
      (i) => ({ waitMs: 1_000_000 + i }),
    ),
  ],
  ['an open session', 3000, sessions(() => ({}), false)],
  ['a lost session', 3000, sessions((i) => ({ abandonTimeoutMs: 60_000 + i }), true)],
  ['a label of a session', 2000, sessions((i) => ({ label: word(`${i}`) }), true)],
  ['a namespace', 2000, sessions((i) => ({ namespace: `n ${i}` }), true)],
  ['a long namespace', 2000, sessions((i) => ({ namespace: word(`n ${i}`) }), true)],
  ['a watch', 3000, watches((i) => [`path ${i}`])],
  ['a watch of the root', 3000, watches(() => [])],
  ['a deep watch', 200, watches(deep)],
  ['a watch of long segments', 400, watches((i) => Array.from({ length: 10 }, () => word(`${i}`)))],
];

/** Bytes of one of `count` things, as they are charged and as the heap has them. */
function measure(count: number, make: Make): { estimate: number; actual: number } {
  const { host: fake } = setUp({ maxLockBytes: 1e12, maxLocksPerSession: 1e6 });
  // Real timers, and no notes of what happens.
  const host = { ...fake, clock: systemClock, observer: undefined };
  const settings = { namespace: 'shop', abandonTimeoutMs: 0, client: 'a' };
  const ground = { host, session: new Session(host, settings, PEER) };
  // The first: others wait for it.
  make(-1, ground);
  const { memory } = host.registry;
  const charged = memory.charged;
  const before = heapUsed();
  for (let i = 0; i < count; i++) make(i, ground);
  const actual = (heapUsed() - before) / count;
  const estimate = (memory.charged - charged) / count;
  host.registry.endAll();
  return { estimate, actual };
}

for (const [name, count, make] of THINGS) {
  test(`the estimate is not below what the heap has, nor far above it: ${name}`, () => {
    // Garbage of others that goes meanwhile makes it look smaller; code that is compiled, larger.
    // So it is right if the median of five is: if three are.
    const seen: string[] = [];
    for (let right = 0; right < 3; ) {
      const { estimate, actual } = measure(count, make);
      const ratio = estimate / actual;
      seen.push(`${ratio.toFixed(2)} of ${actual.toFixed(0)} bytes`);
      if (ratio >= 1 && ratio < 3.5) right++;
      assert.ok(seen.length - right < 3, seen.join('; '));
    }
  });
}
