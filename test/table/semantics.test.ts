/**
 * What a lock means, sentence by sentence: PROTOCOL.md, section 1, and the semantics that the Go
 * server's own tests hold. Each test works on a CheckedTable, so the model and the invariants watch
 * every step; and whatever a test leaves alive is released at its end, after which nothing may be
 * left of any path.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lock } from '../../src/table/lock.ts';
import { LockTable } from '../../src/table/lock-table.ts';
import type { Resource } from '../../src/table/resource.ts';
import { CheckedTable } from '../support/checked-table.ts';
import { claimsOf } from '../support/claims.ts';
import { limited, read, write } from '../support/resources.ts';

/** A table with the words that the tests are told in. */
class Stage {
  readonly table = new CheckedTable();

  /** Asks for a lock that must be acquired at once. */
  holds(...resources: Resource[]): Lock {
    const lock = this.table.lock(resources);
    assert.equal(lock.state, 'acquired');
    return lock;
  }

  /** Asks for a lock that must be enqueued. */
  waits(...resources: Resource[]): Lock {
    const lock = this.table.lock(resources);
    assert.equal(lock.state, 'enqueued');
    return lock;
  }

  /** Releases `lock`, by which exactly `acquired` must become held, in that order. */
  releases(lock: Lock, ...acquired: Lock[]): void {
    assert.deepEqual(ids(this.table.release(lock)), ids(acquired));
    assert.equal(lock.state, 'released');
    for (const other of acquired) assert.equal(other.state, 'acquired');
  }

  /** Releases all of `locks`, of which only the last lets anyone in: exactly `acquired`. */
  releasesAll(locks: Lock[], ...acquired: Lock[]): void {
    for (const [i, lock] of locks.entries()) {
      this.releases(lock, ...(i === locks.length - 1 ? acquired : []));
    }
  }

  end(): void {
    for (const lock of this.table.alive) this.table.release(lock);
    this.table.checkEmpty();
  }
}

function ids(locks: Lock[]): number[] {
  return locks.map((lock) => lock.id);
}

function scenario(sentence: string, play: (stage: Stage) => void): void {
  test(sentence, () => {
    const stage = new Stage();
    play(stage);
    stage.end();
  });
}

/** Two locks conflict when whichever comes second waits for the first; else both are held. */
function assertConflict(a: Resource[], b: Resource[], expected: boolean): void {
  for (const [first, second] of [
    [a, b],
    [b, a],
  ] as const) {
    const stage = new Stage();
    const holder = stage.holds(...first);
    if (expected) stage.releases(holder, stage.waits(...second));
    else stage.holds(...second);
    stage.end();
  }
}

function conflict(sentence: string, a: Resource[], b: Resource[]): void {
  test(sentence, () => assertConflict(a, b, true));
}

function noConflict(sentence: string, a: Resource[], b: Resource[]): void {
  test(sentence, () => assertConflict(a, b, false));
}

// 2.1 Conflict. Each of these is tried in both orders of arrival.

conflict('a write of a/b/c blocks another', [write('a', 'b', 'c')], [write('a', 'b', 'c')]);
conflict('a write blocks a read of its path', [write('a', 'b')], [read('a', 'b')]);
noConflict('reads of one path share it', [read('a', 'b')], [read('a', 'b')]);
noConflict('siblings are independent', [write('a', 'b')], [write('a', 'c')]);
noConflict(
  'equal segments below different parents are independent',
  [write('a', 'x')],
  [write('b', 'x')],
);
noConflict(
  'a path is no prefix of one that merely starts with its letters',
  [write('ab')],
  [write('abc')],
);
conflict('a write of a parent and a write of its child conflict', [write('a')], [write('a', 'b')]);
conflict('a write of a parent and a read of its child conflict', [write('a')], [read('a', 'b')]);
conflict('a read of a parent and a write of its child conflict', [read('a')], [write('a', 'b')]);
conflict(
  'a parent and a distant descendant conflict',
  [write('a')],
  [read('a', 'b', 'c', 'd', 'e')],
);
noConflict('reads along one branch share it', [read('a')], [read('a', 'b', 'c')]);
conflict('a write of the root and a write of anything conflict', [write()], [write('a', 'b')]);
conflict('a write of the root and a read of anything conflict', [write()], [read('a')]);
conflict('a read of the root and a write of anything conflict', [read()], [write('a', 'b')]);
conflict('two writes of the root conflict', [write()], [write()]);
conflict('a write and a read of the root conflict', [write()], [read()]);
noConflict('a read of the root and a read of anything share', [read()], [read('a', 'b')]);
conflict(
  'locks conflict when any of their resources do',
  [read('a'), write('b'), read('c')],
  [write('x'), read('y'), read('b')],
);
noConflict(
  'locks do not conflict when none of their resources do',
  [read('a'), write('b')],
  [read('a'), write('c')],
);
conflict('a lock of {read a, write a} is a write of a', [read('a'), write('a')], [read('a')]);

scenario('the root blocks all and all block the root', (t) => {
  const root = t.holds(write());
  const below = [t.waits(write('a')), t.waits(read('b', 'c')), t.waits(limited(1, 'd'))];
  const rootAgain = t.waits(write());
  t.releases(root, ...below);
  t.releasesAll(below, rootAgain);
});

scenario('reads along one branch all wait for a write above them', (t) => {
  const above = t.holds(write('a'));
  const b = t.waits(read('a', 'b'));
  const c = t.waits(read('a', 'b', 'c'));
  const d = t.waits(read('a', 'b', 'c', 'd'));
  t.releases(above, b, c, d);
});

scenario('{read a, write a/b} lets {read a/c} in but neither {read a} nor {read a/b}', (t) => {
  const both = t.holds(read('a'), write('a', 'b'));
  t.holds(read('a', 'c'));
  const readA = t.waits(read('a'));
  const readB = t.waits(read('a', 'b'));
  t.releases(both, readA, readB);
});

// 2.1 Resources inside one lock never conflict with each other.

/** Resources of one lock that overlap in some way, each with the entries that are needed for it. */
const OVERLAPS: readonly { resources: Resource[]; claims: string[] }[] = [
  { resources: [write('a'), write('a')], claims: ['IX /', 'X /a'] },
  { resources: [read('a'), read('a')], claims: ['IS /', 'S /a'] },
  { resources: [write('a'), read('a')], claims: ['IX /', 'X /a'] },
  { resources: [write('a'), read('a', 'b')], claims: ['IX /', 'X /a'] },
  { resources: [write('a'), write('a', 'b', 'c')], claims: ['IX /', 'X /a'] },
  { resources: [write('a'), read('a'), limited(1, 'a')], claims: ['IX /', 'X /a'] },
  { resources: [write('a'), limited(1, 'a', 'b')], claims: ['IX /', 'X /a'] },
  { resources: [read('a'), read('a', 'b')], claims: ['IS /', 'S /a'] },
  { resources: [read('a'), read('a', 'b'), read('a', 'b', 'c')], claims: ['IS /', 'S /a'] },
  { resources: [write(), read(), write('a'), read('b', 'c')], claims: ['X /'] },
  { resources: [read(), read('a'), read('b', 'c')], claims: ['S /'] },
  { resources: [write('a', 'b'), read('a')], claims: ['IX /', 'IX /a', 'S /a', 'X /a/b'] },
  {
    resources: [write('a', 'b'), read('a'), read('a', 'c'), read('a', 'b')],
    claims: ['IX /', 'IX /a', 'S /a', 'X /a/b'],
  },
  { resources: [write('a', 'b'), read('a', 'c')], claims: ['IX /', 'IX /a', 'S /a/c', 'X /a/b'] },
  { resources: [write('a', 'b'), write('a', 'c')], claims: ['IX /', 'IX /a', 'X /a/b', 'X /a/c'] },
  { resources: [read('a', 'b'), read('a', 'c')], claims: ['IS /', 'IS /a', 'S /a/b', 'S /a/c'] },
  { resources: [read('a'), limited(2, 'a')], claims: ['IS /', 'S /a', 'limit /a'] },
  { resources: [limited(2, 'a'), limited(3, 'a')], claims: ['IS /', 'S /a', 'limit /a'] },
  { resources: [read('a'), limited(2, 'a', 'b', 'c')], claims: ['IS /', 'S /a', 'limit /a/b/c'] },
  {
    resources: [limited(2, 'a'), limited(2, 'a', 'b')],
    claims: ['IS /', 'S /a', 'limit /a', 'limit /a/b'],
  },
  {
    resources: [write('a', 'b'), limited(1, 'a')],
    claims: ['IX /', 'IX /a', 'S /a', 'X /a/b', 'limit /a'],
  },
];

function inEveryOrder<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((first, at) =>
    inEveryOrder(items.toSpliced(at, 1)).map((rest) => [first, ...rest]),
  );
}

for (const { resources, claims } of OVERLAPS) {
  scenario(
    `{${resources.map(inWords).join(', ')}} is held at once and costs ${claims.join(', ')}`,
    (t) => {
      for (const ordered of inEveryOrder(resources)) {
        const lock = t.holds(...ordered);
        assert.deepEqual(claimsOf(lock), claims.toSorted());
        assert.deepEqual(lock.resources, ordered, 'the resources stay as they were asked for');
        t.releases(lock);
      }
    },
  );
}

function inWords(resource: Resource): string {
  const limit = resource.type === 'read' ? resource.limit : undefined;
  return `${resource.type} /${resource.path.join('/')}${limit === undefined ? '' : ` x${limit}`}`;
}

scenario('what a shadowed resource does not cost in entries it does not cost in waiting', (t) => {
  const reader = t.holds(read('x'));
  const writer = t.waits(write('x'), read('x', 'y'), limited(1, 'x'), write('x', 'z'));
  t.releases(reader, writer);
});

// 2.2 Order.

scenario('conflicting locks are acquired in the order of their arrival', (t) => {
  const first = t.holds(write('a'));
  const second = t.waits(write('a'));
  const third = t.waits(write('a'));
  t.releases(first, second);
  t.releases(second, third);
});

scenario('a read behind a waiting write waits, though it could share with the holder', (t) => {
  const holder = t.holds(read('a'));
  const writer = t.waits(write('a'));
  const reader = t.waits(read('a'));
  t.releases(holder, writer);
  t.releases(writer, reader);
});

scenario('a write of a parent that waits for one child holds up the other children', (t) => {
  const child = t.holds(write('a', 'b'));
  const parent = t.waits(write('a'));
  const sibling = t.waits(write('a', 'c'));
  t.releases(child, parent);
  t.releases(parent, sibling);
});

scenario('a writer is not starved by readers that keep coming', (t) => {
  const early = t.holds(read('a'));
  const writer = t.waits(write('a'));
  const late = Array.from({ length: 10 }, () => t.waits(read('a')));
  const nextWriter = t.waits(write('a'));
  t.releases(early, writer);
  t.releases(writer, ...late);
  t.releasesAll(late, nextWriter);
});

scenario('a lock that conflicts with nothing ahead is acquired at once, whoever waits', (t) => {
  t.holds(write('a', 'b'));
  t.waits(write('a', 'b'));
  t.waits(read('a', 'b'), write('c'));
  t.holds(write('a', 'd'));
  t.holds(read('d'));
  t.holds(write('e', 'b'));
});

scenario('a read is not held up by an unrelated waiting read that waits for a writer', (t) => {
  const writer = t.holds(write('x'));
  const waiting = t.waits(read('a'), read('x'));
  t.holds(read('a'));
  t.releases(writer, waiting);
});

scenario(
  'in a convoy of locks over neighbouring paths each waits for its neighbours alone',
  (t) => {
    const ab = t.holds(write('a'), write('b'));
    const bc = t.waits(write('b'), write('c'));
    const cd = t.waits(write('c'), write('d'));
    const de = t.waits(write('d'), write('e'));
    t.holds(write('f'));
    t.releases(cd, de);
    t.releases(ab, bc);
  },
);

scenario('a batch of readers between two writers is let in together', (t) => {
  const first = t.holds(write('a'));
  const readers = [t.waits(read('a')), t.waits(read('a', 'b')), t.waits(read())];
  const second = t.waits(write('a', 'b'));
  const lateReader = t.waits(read('a', 'b'));
  t.releases(first, ...readers);
  t.releasesAll(readers, second);
  t.releases(second, lateReader);
});

scenario(
  'locks that one release lets in are returned in arrival order, wherever they wait',
  (t) => {
    const holder = t.holds(write('a'), write('b'), write('c'));
    const waiting = ['c', 'a', 'b', 'a', 'c', 'b'].map((path) => t.waits(read(path)));
    t.releases(holder, ...waiting);
  },
);

// 2.3 Atomic.

scenario('a lock that could have one of its resources but not the other shows nothing', (t) => {
  const a = t.holds(write('a'));
  const b = t.holds(write('b'));
  const both = t.waits(write('a'), write('b'));
  t.releases(a);
  assert.equal(both.state, 'enqueued');
  t.releases(b, both);
});

scenario('a lock waiting for one resource keeps its place at the other', (t) => {
  const a = t.holds(write('a'));
  const both = t.waits(write('a'), write('b'));
  const b = t.waits(write('b'));
  t.releases(a, both);
  t.releases(both, b);
});

scenario('locks of the same resources in opposite orders do not deadlock', (t) => {
  const ab = t.holds(write('a'), write('b'));
  const ba = t.waits(write('b'), write('a'));
  t.releases(ab, ba);
  t.releases(ba);
});

// 2.4 Leaving the queue.

scenario('a waiter that is released lets those behind it in at once', (t) => {
  t.holds(read('a'));
  const writer = t.waits(write('a'));
  const readers = [t.waits(read('a')), t.waits(read('a', 'b'))];
  t.releases(writer, ...readers);
});

scenario('a waiter released from the middle keeps no place and changes nothing else', (t) => {
  const holder = t.holds(write('a'));
  const middle = t.waits(write('a'));
  const last = t.waits(write('a'));
  t.releases(middle);
  t.releases(holder, last);
});

scenario('those behind a released waiter go on waiting for others ahead of them', (t) => {
  t.holds(read('a'));
  const first = t.waits(write('a'));
  const second = t.waits(write('a', 'b'));
  const inB = t.waits(read('a', 'b'));
  const inC = t.waits(read('a', 'c'));
  t.releases(first, inC);
  t.releases(second, inB);
});

scenario('a released waiter of several resources lets in those behind it at each', (t) => {
  t.holds(read('a'), read('b'));
  const writer = t.waits(write('a'), write('b'));
  const b = t.waits(read('b'));
  const a = t.waits(read('a'));
  t.releases(writer, b, a);
});

// 2.5 Limited shared access.

scenario('limit 2 is a semaphore of two, served in arrival order', (t) => {
  const first = t.holds(limited(2, 'a'));
  const second = t.holds(limited(2, 'a'));
  const third = t.waits(limited(2, 'a'));
  const fourth = t.waits(limited(2, 'a'));
  t.releases(second, third);
  t.releases(first, fourth);
});

for (const limit of [1, 2, 3, 4, 100]) {
  scenario(`a semaphore of ${limit} admits ${limit} and not one more`, (t) => {
    const held = Array.from({ length: limit }, () => t.holds(limited(limit, 'a')));
    const next = t.waits(limited(limit, 'a'));
    t.releasesAll(held.slice(0, 1), next);
  });
}

scenario('limit 1 is a mutex among limited reads that still lets plain readers in', (t) => {
  const mutex = t.holds(limited(1, 'a'));
  t.holds(read('a'));
  const next = t.waits(limited(1, 'a'));
  t.holds(read('a'));
  t.releases(mutex, next);
});

scenario('a limit counts on exactly its path, not above, below or beside', (t) => {
  t.holds(limited(1, 'a'));
  t.holds(limited(1));
  t.holds(limited(1, 'a', 'b'));
  t.holds(limited(1, 'c'));
  t.waits(limited(1, 'a'));
});

scenario('each waiter is judged by its own limit', (t) => {
  const first = t.holds(limited(1, 'a'));
  const second = t.holds(limited(2, 'a'));
  const third = t.holds(limited(3, 'a'));
  const strict = t.waits(limited(1, 'a'));
  t.releases(first);
  t.releases(third);
  t.releases(second, strict);
});

scenario('the limit can be raised and lowered while clients run', (t) => {
  const one = t.holds(limited(1, 'a'));
  const two = t.holds(limited(3, 'a'));
  const three = t.holds(limited(3, 'a'));
  const lowered = t.waits(limited(2, 'a'));
  t.releases(one);
  t.releases(two, lowered);
  t.releases(three);
});

scenario('the head of a line is never passed, not even by one with a larger limit', (t) => {
  const holder = t.holds(limited(1, 'a'));
  const head = t.waits(limited(1, 'a'));
  const generous = t.waits(limited(100, 'a'));
  t.releases(holder, head, generous);
});

scenario('a head that is cancelled lets the next, with a larger limit, in', (t) => {
  t.holds(limited(1, 'a'));
  const head = t.waits(limited(1, 'a'));
  const generous = t.waits(limited(2, 'a'));
  const strict = t.waits(limited(2, 'a'));
  t.releases(head, generous);
  assert.equal(strict.state, 'enqueued');
});

scenario('one release lets in as many of the line as their limits allow', (t) => {
  const holder = t.holds(limited(1, 'a'));
  const head = t.waits(limited(1, 'a'));
  const second = t.waits(limited(2, 'a'));
  const third = t.waits(limited(3, 'a'));
  const strict = t.waits(limited(3, 'a'));
  t.releases(holder, head, second, third);
  assert.equal(strict.state, 'enqueued');
});

scenario('a waiter behind the head that is cancelled lets nobody past the head', (t) => {
  t.holds(limited(1, 'a'));
  t.waits(limited(1, 'a'));
  const middle = t.waits(limited(2, 'a'));
  const last = t.waits(limited(9, 'a'));
  t.releases(middle);
  assert.equal(last.state, 'enqueued');
});

scenario('a limited read waits for a write, and a write for a limited read', (t) => {
  const writer = t.holds(write('a'));
  const readers = [t.waits(limited(2, 'a')), t.waits(limited(2, 'a'))];
  const third = t.waits(limited(2, 'a'));
  const writerAgain = t.waits(write());
  t.releases(writer, ...readers);
  t.releases(third);
  t.releasesAll(readers, writerAgain);
});

scenario('a limited read does not overtake a waiting write because a slot is free', (t) => {
  const reader = t.holds(limited(3, 'a'));
  const writer = t.waits(write('a'));
  const late = t.waits(limited(3, 'a'));
  t.releases(reader, writer);
  t.releases(writer, late);
});

scenario('an admitted limited read counts while its lock waits elsewhere', (t) => {
  const writer = t.holds(write('x'));
  const admitted = t.waits(limited(1, 'a'), read('x'));
  const next = t.waits(limited(1, 'a'));
  t.releases(writer, admitted);
  t.releases(admitted, next);
});

scenario('a limited read beside a write in one lock takes a slot and frees it', (t) => {
  const both = t.holds(limited(1, 'a'), write('b'));
  const slot = t.waits(limited(1, 'a'));
  const writer = t.waits(write('b'));
  t.releases(both, slot, writer);
});

scenario('a limited and a plain read of one path in one lock are one limited read', (t) => {
  const both = t.holds(read('a'), limited(1, 'a'));
  t.holds(read('a'));
  const next = t.waits(limited(1, 'a'), read('a'));
  t.releases(both, next);
});

scenario('a limited read that a write of the same lock shadows does not count', (t) => {
  const blocker = t.holds(limited(1, 'a'));
  const shadowed = t.waits(write('a'), limited(1, 'a'));
  t.releases(blocker, shadowed);
  const second = t.waits(limited(1, 'a'));
  t.releases(shadowed, second);
});

scenario('a shadowed limited read is not even in line', (t) => {
  const holder = t.holds(read('a'));
  const shadowed = t.waits(write('a'), limited(1, 'a', 'b'));
  const behind = t.waits(limited(1, 'a', 'b'));
  t.releases(shadowed, behind);
  t.releases(holder);
});

scenario("a limited read below its own lock's plain read still counts", (t) => {
  const first = t.holds(read('a'), limited(1, 'a', 'b'));
  t.holds(read('a', 'b'));
  const second = t.waits(read('a'), limited(1, 'a', 'b'));
  t.releases(first, second);
});

scenario('of two limits on one path in one lock the smaller counts, and as one', (t) => {
  t.holds(limited(2, 'a'));
  const both = t.waits(limited(5, 'a'), limited(1, 'a'));
  t.releases(both);
  t.holds(limited(2, 'a'), limited(3, 'a'));
  t.waits(limited(2, 'a'));
});

// 2.6 Ids.

scenario('ids rise with arrival, and a release changes nothing about that', (t) => {
  const first = t.holds(write('a'));
  const second = t.waits(write('a'));
  t.releases(second);
  const third = t.holds(read('b'));
  assert.deepEqual(ids([first, second, third]), [1, 2, 3]);
  assert.equal(t.table.table.lastId, 3);
});

scenario('on every resource, each lock acquired has a larger id than all before it', (t) => {
  const tokens = new Map<string, number>();
  const write2 = (a: string, b: string) => [write(a), write(b)];
  const waiting = [write2('a', 'b'), write2('b', 'c'), write2('c', 'a'), write2('a', 'b')];
  for (const resources of [...waiting, ...waiting]) t.table.lock(resources);
  while (t.table.alive.length > 0) {
    const held = t.table.alive.filter((lock) => lock.state === 'acquired');
    for (const { id, resources } of held) {
      for (const [segment = ''] of resources.map((resource) => resource.path)) {
        assert.ok((tokens.get(segment) ?? 0) < id);
        tokens.set(segment, id);
      }
    }
    for (const lock of held) t.table.release(lock);
  }
});

test('tables that share a counter have ids that are unique among them', () => {
  let last = 1_795_000_000_000_000;
  const nextId = () => ++last;
  const orders = new LockTable(nextId);
  const users = new LockTable(nextId);
  const locks = [orders, users, orders].map((table) => table.lock([write('a')], undefined));
  assert.deepEqual(
    ids(locks),
    [1, 2, 3].map((n) => 1_795_000_000_000_000 + n),
  );
});

test('the largest id is 2^53 - 1', () => {
  let next = Number.MAX_SAFE_INTEGER;
  const table = new LockTable(() => next);
  assert.equal(table.lock([read('a')], undefined).id, Number.MAX_SAFE_INTEGER);
  next++;
  assert.throws(() => table.lock([read('a')], undefined), /rising safe integers/);
});

// Segments and paths.

const SEGMENTS = [
  '',
  ' ',
  '/',
  '\0',
  'a\0',
  'a',
  'A',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'null',
  'undefined',
  '0',
  '-0',
  '00',
  '\ud800',
  '\ud801',
  '\udc00',
  '\ufffd',
  '\u00e9',
  'e\u0301',
  'x'.repeat(100_000),
  `${'x'.repeat(99_999)}y`,
];

scenario('any string is an ordinary segment, equal to itself alone', (t) => {
  const held = SEGMENTS.map((segment) => t.holds(write('in', segment)));
  assert.equal(t.table.table.size.paths, 1 + SEGMENTS.length);
  // A copy built at run time: equal by its letters, not the same string object.
  const waiting = SEGMENTS.map((segment) => t.waits(write('in', [...segment].join(''))));
  for (const [i, lock] of held.entries()) t.releases(lock, ...waiting.slice(i, i + 1));
});

scenario('any string alone in a path is an ordinary segment', (t) => {
  for (const segment of SEGMENTS) {
    const holder = t.holds(write(segment));
    t.holds(write(`${segment}!`));
    t.releases(holder, t.waits(read(segment, segment)));
    t.end();
  }
});

scenario('the empty segment is not the root', (t) => {
  t.holds(write(''));
  t.holds(write('a'));
  t.waits(read());
});

scenario('paths of 100 segments are locked like any other', (t) => {
  const deep = Array.from({ length: 100 }, (_, i) => `level ${i}`);
  const holder = t.holds(write(...deep));
  assert.equal(t.table.table.size.paths, 100);
  t.holds(write(...deep.with(99, 'sibling')));
  const same = t.waits(read(...deep));
  const above = t.waits(read(...deep.slice(0, 50)));
  t.releases(holder, same);
  t.table.release(above);
});

// The table's bookkeeping.

scenario('size counts locks, resources as they were asked for, and paths in use', (t) => {
  const { table } = t.table;
  assert.ok(table.isEmpty);
  const holder = t.holds(write('a', 'b'), read('a', 'b'), read('c'));
  const waiter = t.waits(read('a'), read('d'));
  const expected = { acquired: 1, enqueued: 1, resourcesAcquired: 3, resourcesEnqueued: 2 };
  assert.deepEqual(table.size, { ...expected, paths: 4 });
  assert.ok(!table.isEmpty);
  t.releases(holder, waiter);
  assert.deepEqual(table.size, {
    acquired: 1,
    enqueued: 0,
    resourcesAcquired: 2,
    resourcesEnqueued: 0,
    paths: 2,
  });
});

scenario('a path is gone with the last lock on it or below it', (t) => {
  const { table } = t.table;
  const deep = t.holds(read('a', 'b', 'c'));
  const middle = t.holds(read('a', 'b'));
  assert.equal(table.size.paths, 3);
  t.releases(deep);
  assert.equal(table.size.paths, 2);
  t.releases(middle);
  assert.equal(table.size.paths, 0);
});

scenario('children come and go beside each other in any order', (t) => {
  const names = ['a', 'b', 'c', 'd'];
  for (const order of inEveryOrder(names)) {
    for (const name of names) t.holds(write('p', name));
    for (const name of order) {
      t.releasesAll(t.table.alive.filter((lock) => lock.resources[0]?.path[1] === name));
      t.releases(t.holds(write('p', name)));
    }
    t.table.checkEmpty();
  }
});

test('a lock carries the context it was given', () => {
  const table = new LockTable<{ name: string }>();
  const context = { name: 'me' };
  assert.equal(table.lock([write('a')], context).context, context);
});

// Misuse throws, and leaves the table as it was.

const MISUSE: readonly { sentence: string; message: RegExp; resources: Resource[] }[] = [
  { sentence: 'no resources', message: /at least one resource/, resources: [] },
  ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53].map((limit) => ({
    sentence: `a limit of ${limit}`,
    message: /integer of at least 1/,
    resources: [write('b'), limited(limit, 'a')],
  })),
  {
    sentence: 'a limit of 0 that a write shadows',
    message: /integer of at least 1/,
    resources: [write('a'), limited(0, 'a')],
  },
];

for (const { sentence, message, resources } of MISUSE) {
  test(`a lock with ${sentence} throws and leaves nothing behind`, () => {
    const table = new LockTable();
    assert.throws(() => table.lock(resources, undefined), message);
    table.verify();
    assert.deepEqual(table.size, new LockTable().size);
    assert.equal(table.lock([write()], undefined).state, 'acquired');
  });
}

test('an id that does not rise throws and leaves nothing behind', () => {
  for (const bad of [7, 6, 0, -1, 7.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    const given = [7, bad];
    const table = new LockTable(() => given.shift() ?? 0);
    const first = table.lock([write('a')], undefined);
    assert.throws(() => table.lock([write('b')], undefined), /rising safe integers/);
    assert.equal(table.lastId, 7);
    table.release(first);
    table.verify();
    assert.ok(table.isEmpty);
  }
});

test('releasing a lock twice throws', () => {
  const table = new LockTable();
  const lock = table.lock([write('a')], undefined);
  table.release(lock);
  assert.throws(() => table.release(lock), /already released/);
  assert.deepEqual(table.size, new LockTable().size);
});

test('releasing a lock of another table, or an imitation, throws', () => {
  const table = new LockTable();
  const lock = new LockTable().lock([write('a')], undefined);
  assert.throws(() => table.release(lock), /another table/);
  assert.throws(() => table.release({ ...lock }), /does not come from a lock table/);
  assert.equal(lock.state, 'acquired');
});
