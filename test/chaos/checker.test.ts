/** Hand-written histories: for each rule one that breaks it, and one that nearly does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resource } from '../../src/table/resource.ts';
import { read, write } from '../support/line-client.ts';
import { LockModel } from '../support/lock-model.ts';
import { Random } from '../support/random.ts';
import { check, type Rule } from './checker.ts';
import type { HistoryEvent, Told } from './history.ts';

const MS = 1e6;

/** Writes the history of one client; times are in milliseconds. */
class Scribe {
  readonly events: HistoryEvent[] = [];
  readonly #c: string;

  constructor(c: string, abandonMs = 1000, isNamed = true, namespace = 'shop') {
    this.#c = c;
    this.events.push({ t: 0, c, e: 'opened', namespace, abandonMs, isNamed });
  }

  request(t: number, r: number, resources: readonly Resource[], terms = {}): this {
    return this.#write({ t: t * MS, c: this.#c, r, e: 'request', resources, ...terms });
  }

  told(t: number, r: number, id: number, state: Told['state'], asked = t - 1): this {
    return this.#write({ t: t * MS, c: this.#c, r, e: 'told', id, state, asked: asked * MS });
  }

  release(t: number, r: number): this {
    return this.#write({ t: t * MS, c: this.#c, r, e: 'release' });
  }

  gone(t: number, r: number): this {
    return this.#write({ t: t * MS, c: this.#c, r, e: 'gone' });
  }

  held(t: number, r: number): this {
    return this.#write({ t: t * MS, c: this.#c, r, e: 'held' });
  }

  heard(t: number, asked: number): this {
    return this.#write({ t: t * MS, c: this.#c, e: 'heard', asked: asked * MS });
  }

  refused(t: number, r: number): this {
    return this.#write({ t: t * MS, c: this.#c, r, e: 'refused', code: 'deadlock' });
  }

  leave(t: number, e: 'bye' | 'vanished' | 'lost'): this {
    return this.#write({ t: t * MS, c: this.#c, e });
  }

  /** Requests at `from`, gets the lock at once, releases it at `to`. */
  hold(from: number, to: number, r: number, id: number, ...resources: Resource[]): this {
    return this.request(from - 1, r, resources)
      .told(from, r, id, 'acquired')
      .release(to, r)
      .told(to + 1, r, id, 'released');
  }

  #write(event: HistoryEvent): this {
    this.events.push(event);
    return this;
  }
}

function expectRules(expected: readonly Rule[], ...scribes: Scribe[]): void {
  const { violations } = check(scribes.map(({ events }) => events));
  assert.deepEqual(
    violations.map(({ rule }) => rule),
    expected,
    JSON.stringify(violations),
  );
}

test('two conflicting locks at a time are a fault, one after the other are none', () => {
  const a = new Scribe('p1.1').hold(10, 20, 1, 1, write('a'));
  expectRules(['exclusion'], a, new Scribe('p2.1').hold(19, 30, 1, 2, read('a', 'b')));
  expectRules(['exclusion'], a, new Scribe('p2.1').hold(12, 13, 1, 2, write()));
  expectRules([], a, new Scribe('p2.1').hold(20, 30, 1, 2, read('a', 'b')));
  expectRules([], a, new Scribe('p2.1').hold(19, 30, 1, 2, write('b')));
  expectRules([], a, new Scribe('p2.1', 0, true, 'other').hold(19, 30, 1, 2, write('a')));
  const shared = new Scribe('p1.1').hold(10, 20, 1, 1, read('a'), write('c'));
  expectRules([], shared, new Scribe('p2.1').hold(15, 30, 1, 2, read('a'), read('b')));
  expectRules(['exclusion'], shared, new Scribe('p2.1').hold(15, 30, 1, 2, read('b'), read('c')));
});

test('a lock that was reported as released is held until the release was sent', () => {
  const slow = new Scribe('p1.1', 0).hold(10, 5000, 1, 1, write('a'));
  expectRules(['exclusion'], slow, new Scribe('p2.1').hold(4999, 5001, 1, 2, write('a')));
});

test('a disconnected client holds for its abandon timeout, counted from its last exchange', () => {
  const killed: HistoryEvent[] = [{ t: 900 * MS, e: 'killed', process: 'p1' }];
  const cut = new Scribe('p1.1', 500)
    .request(9, 1, [write('a')])
    .told(10, 1, 1, 'acquired')
    .heard(130, 100);
  const at = (t: number) => new Scribe('p2.1').hold(t, t + 1, 1, 2, write('a')).events;
  const rulesAt = (t: number) => check([cut.events, at(t), killed]).violations.map((v) => v.rule);
  assert.deepEqual(rulesAt(598), ['exclusion']);
  assert.deepEqual(rulesAt(600), []);
});

test('what the library says that it holds, nobody else may have, for as long as it says so', () => {
  const trusting = new Scribe('p1.1', 0)
    .request(9, 1, [write('a')])
    .told(10, 1, 1, 'acquired', 0)
    .held(40, 1)
    .gone(90, 1);
  expectRules(['exclusion'], trusting, new Scribe('p2.1').hold(39, 60, 1, 2, write('a')));
  expectRules([], trusting, new Scribe('p2.1').hold(41, 60, 1, 2, write('a')));
});

test('a wait certainly lasts for the abandon timeout only if the client can resume', () => {
  const later = new Scribe('p2.1').hold(300, 310, 1, 2, write('a'));
  const lost = (isNamed: boolean) =>
    new Scribe('p1.1', 500, isNamed)
      .request(9, 1, [write('a')])
      .told(10, 1, 1, 'enqueued')
      .leave(50, 'vanished');
  expectRules(['order'], lost(true), later);
  expectRules([], lost(false), later);
});

test('a hold limit and a wait limit bound what is claimed for a client', () => {
  const later = new Scribe('p2.1').hold(300, 310, 1, 2, write('a'));
  const held = (holdMs: number) =>
    new Scribe('p1.1', 500)
      .request(9, 1, [write('a')], { holdMs })
      .told(10, 1, 1, 'acquired')
      .leave(50, 'vanished');
  expectRules(['exclusion'], held(300), later);
  expectRules([], held(290), later);
  const waiting = (waitMs: number) =>
    new Scribe('p1.1', 500)
      .request(9, 1, [write('a')], { waitMs })
      .told(10, 1, 1, 'enqueued')
      .leave(50, 'vanished');
  expectRules(['order'], waiting(300), later);
  expectRules([], waiting(290), later);
});

test('of two conflicting locks the smaller id is acquired first, unless it ended before', () => {
  const second = new Scribe('p2.1').hold(15, 16, 1, 2, write('a'));
  const first = new Scribe('p1.1').request(8, 1, [write('a')]).told(9, 1, 1, 'enqueued');
  const overtaken = first.heard(20, 19).told(30, 1, 1, 'acquired').release(31, 1);
  expectRules(['order'], overtaken.told(32, 1, 1, 'released'), second);
  const gaveUp = new Scribe('p1.1')
    .request(8, 1, [write('a')])
    .told(9, 1, 1, 'enqueued')
    .release(14, 1)
    .told(18, 1, 1, 'released');
  expectRules([], gaveUp, second);
  const timedOut = new Scribe('p1.1')
    .request(4, 1, [write('a')], { waitMs: 9 })
    .told(5, 1, 1, 'enqueued')
    .told(14, 1, 1, 'timeout', 4);
  expectRules([], timedOut, second);
});

test('a limited read is admitted by its own limit', () => {
  const gpu = (limit: number): Resource => ({ type: 'read', path: ['gpu'], limit });
  const one = new Scribe('p1.1').hold(10, 50, 1, 1, gpu(2));
  const two = new Scribe('p2.1').hold(11, 50, 1, 2, gpu(2));
  expectRules([], one, two, new Scribe('p3.1').hold(12, 50, 1, 3, gpu(3)));
  expectRules(['limit'], one, two, new Scribe('p3.1').hold(12, 50, 1, 3, gpu(2)));
  expectRules([], one, two, new Scribe('p3.1').hold(50, 60, 1, 3, gpu(1)));
  expectRules([], one, two, new Scribe('p3.1').hold(12, 50, 1, 3, read('gpu')));
});

test('ids rise in order of arrival over all namespaces', () => {
  const early = new Scribe('p1.1').hold(10, 20, 1, 5, write('a'));
  const other = (t: number, id: number) =>
    new Scribe('p2.1', 0, true, 'other').hold(t, t + 1, 1, id, write('b'));
  expectRules(['arrival'], early, other(12, 4));
  expectRules([], early, other(10.5, 4));
  expectRules([], early, other(12, 6));
});

test('no id is given twice, and none changes', () => {
  const twice = [
    new Scribe('p1.1').hold(10, 20, 1, 5, write('a')),
    new Scribe('p2.1').hold(10, 20, 1, 5, write('b')),
  ];
  expectRules(['id'], ...twice);
  const changed = new Scribe('p1.1').request(1, 1, [write('a')]).told(2, 1, 7, 'enqueued');
  expectRules(['id'], changed.told(3, 1, 8, 'acquired').release(4, 1).told(5, 1, 8, 'released'));
});

test('every request ends, unless its client did', () => {
  const waiting = () =>
    new Scribe('p1.1')
      .request(1, 1, [write('a')])
      .told(2, 1, 1, 'enqueued')
      .heard(90, 80);
  expectRules(['ending'], waiting());
  expectRules([], waiting().told(91, 1, 1, 'acquired').release(92, 1).told(93, 1, 1, 'released'));
  expectRules([], waiting().leave(91, 'bye'));
  expectRules([], waiting().leave(91, 'vanished'));
  expectRules([], new Scribe('p1.1').request(1, 1, [write('a')]).refused(2, 1));
  const killed: HistoryEvent[] = [{ t: 95 * MS, e: 'killed', process: 'p1' }];
  assert.deepEqual(check([waiting().events, killed]).violations, []);
});

test('no message comes after an end', () => {
  for (const state of ['enqueued', 'acquired', 'timeout', 'released'] as const) {
    expectRules(['ending'], new Scribe('p1.1').hold(2, 9, 1, 1, write('a')).told(20, 1, 1, state));
  }
  const unasked = new Scribe('p1.1').request(1, 1, [write('a')]).told(2, 1, 1, 'acquired');
  expectRules(['ending'], unasked.told(3, 1, 1, 'released'));
});

test('waits, holds and lost sessions last as long as they were asked to', () => {
  const wait = (t: number) =>
    new Scribe('p1.1')
      .request(100, 1, [write('a')], { waitMs: 50 })
      .told(101, 1, 1, 'enqueued')
      .told(t, 1, 1, 'timeout', 100);
  expectRules(['too early'], wait(148));
  expectRules([], wait(150));
  // It was granted after the reply to the request of 120.
  const hold = (t: number) =>
    new Scribe('p1.1')
      .request(100, 1, [write('a')], { holdMs: 50 })
      .told(101, 1, 1, 'enqueued', 100)
      .heard(121, 120)
      .told(125, 1, 1, 'acquired', 120)
      .told(t, 1, 1, 'expired', 120);
  expectRules(['too early'], hold(168));
  expectRules([], hold(170));
  const held = () =>
    new Scribe('p1.1', 1000)
      .request(100, 1, [write('a')])
      .told(101, 1, 1, 'acquired', 100)
      .heard(200, 150);
  expectRules(['too early'], held().gone(1140, 1));
  expectRules(['too early'], held().leave(1140, 'lost'));
  expectRules([], held().leave(1151, 'lost'));
});

/** The messages of a faultless server, by the model; with a fault on request. */
function serve(random: Random, requests: number, fault: boolean): Scribe[] {
  const model = new LockModel();
  const scribes = Array.from({ length: 40 }, (_, i) => new Scribe(`p${i % 4}.${i}`));
  const states = scribes.map(() => ({ id: 0, ref: 0, isHeld: false }));
  let [t, id] = [10, 0];
  while (id < requests || states.some((state) => state.id !== 0)) {
    const at = random.below(scribes.length);
    const [scribe, state] = [scribes[at], states[at]];
    if (scribe === undefined || state === undefined) throw new Error('nobody');
    t += 10;
    if (state.id === 0) {
      if (id >= requests) continue;
      const resources = [write(...Array.from({ length: 2 }, () => random.pick(['a', 'b', 'c'])))];
      Object.assign(state, { id: ++id, ref: state.ref + 1, isHeld: false });
      model.lock({ id, resources });
      scribe.request(t, state.ref, resources).told(t + 2, state.ref, id, 'enqueued');
    } else {
      scribe.release(t, state.ref).told(t + 2, state.ref, state.id, 'released');
      model.release(state.id);
      state.id = 0;
    }
    const held = model.acquired();
    for (const [i, other] of states.entries()) {
      if (other.id === 0 || other.isHeld) continue;
      const isEarly = fault && random.oneIn(50);
      if (!held.has(other.id) && !isEarly) continue;
      other.isHeld = true;
      scribes[i]?.told(t + 3, other.ref, other.id, 'acquired');
    }
  }
  return scribes;
}

test('the history of a faultless server is clean, one with early grants is not', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  const message = `SEED=${seed}`;
  const good = check(serve(new Random(seed), 2000, false).map(({ events }) => events));
  assert.deepEqual([good.violations, good.requests], [[], 2000], message);
  const bad = check(serve(new Random(seed), 2000, true).map(({ events }) => events));
  assert.ok(bad.violations.length > 0, message);
  for (const { rule } of bad.violations) assert.ok(/order|exclusion/.test(rule), message);
});
