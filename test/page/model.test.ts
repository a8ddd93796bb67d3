/**
 * The page's model of the locks: what listings and events make of it, who blocks whom, and its
 * rows.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InspectedLock } from '../../src/client/inspect.ts';
import { limited, type Resource, read, write } from '../../src/client/resources.ts';
import type { LockEvent } from '../../src/client/watch.ts';
import { LockModel, type PageLock } from '../../src/page/model.ts';
import { chartPath, SERIES_LENGTH, Series } from '../../src/page/series.ts';
import { type RowOptions, treeRows } from '../../src/page/tree-rows.ts';
import { blockersOf, grantedBy, oldestBlocker } from '../../src/page/waits.ts';
import type { Lock } from '../../src/table/lock.ts';
import { LockTable } from '../../src/table/lock-table.ts';
import { Random } from '../support/random.ts';

const ALL: RowOptions = { sorting: 'stuck', filter: '', collapsed: new Set() };

function listed(id: number, state: PageLock['state'], ...resources: Resource[]): InspectedLock {
  const common = { client: '127.0.0.1:5', sessionId: '1', lost: false, forMs: 0 };
  const rest = { waitsFor: [], waitsForMore: false, moreResources: 0 };
  return { id: String(id), state, resources, ...common, ...rest };
}

function event(id: number, kind: LockEvent['event'], ...resources: Resource[]): LockEvent {
  const common = { client: '127.0.0.1:5', sessionId: '1', atMs: 0, moreResources: 0 };
  return { id: String(id), event: kind, resources, ...common };
}

/** Held and waiting locks, in that state since the time that is their id. */
function modelOf(...locks: readonly [number, PageLock['state'], ...Resource[]][]): LockModel {
  const model = new LockModel();
  model.begin();
  for (const [id, state, ...resources] of locks) model.list(listed(id, state, ...resources), id);
  model.complete();
  return model;
}

function rowTexts(model: LockModel, options: Partial<RowOptions> = {}): string[] {
  return treeRows(model, { ...ALL, ...options }).map((row) => {
    const indent = '  '.repeat(row.level - 1);
    if (row.kind === 'path') return `${indent}${row.text} ${row.held}+${row.waiting}`;
    return `${indent}${row.lock.id} ${row.lock.state}`;
  });
}

function ids(locks: Iterable<PageLock>): string[] {
  return [...new Set([...locks].map(({ id }) => id))].sort();
}

test('a listing and the events beside it make the same locks', () => {
  const model = modelOf([1, 'acquired', write('a')], [2, 'enqueued', write('a')]);
  assert.deepEqual([model.acquired, model.enqueued, model.size], [1, 1, 2]);
  model.hear(event(1, 'released', write('a')), 10);
  model.hear(event(2, 'acquired', write('a')), 10);
  model.hear(event(3, 'enqueued', read('a', 'b')), 11);
  assert.deepEqual([model.acquired, model.enqueued, model.size], [1, 1, 2]);
  assert.equal(model.get('2')?.sinceMs, 10);
  assert.deepEqual([model.longestWaiting()?.id, model.longestWaiting()?.sinceMs], ['3', 11]);
  for (const id of [2, 3]) model.hear(event(id, 'abandoned'), 12);
  model.hear(event(9, 'released', write('z')), 12);
  assert.deepEqual([model.acquired, model.enqueued, model.root.children.size], [0, 0, 0]);
});

test('a listing removes what it does not name, unless an event came meanwhile', () => {
  const model = modelOf([1, 'acquired', write('a')], [2, 'acquired', write('b')]);
  model.begin();
  model.hear(event(4, 'acquired', write('c')), 20);
  model.list(listed(2, 'acquired', write('b')), 20);
  model.list(listed(3, 'acquired', write('c')), 20);
  model.complete();
  assert.deepEqual(ids(model.locks()), ['2', '3', '4']);
  assert.deepEqual([...(model.nodeAt(['c'])?.entries.keys() ?? [])], ['3', '4'], 'in order');
  model.clear();
  assert.deepEqual([model.size, model.acquired, model.root.children.size], [0, 0, 0]);
});

test('a lock that a listing names again keeps the moment at which its state began', () => {
  const model = modelOf([1, 'acquired', write('a')]);
  model.begin();
  model.list({ ...listed(1, 'acquired', write('a')), forMs: 5000, lost: true }, 5020);
  assert.equal(model.get('1')?.sinceMs, 1);
  assert.equal(model.get('1')?.isLost, true);
  model.list({ ...listed(1, 'acquired', write('a')), forMs: 5000 }, 9000);
  assert.equal(model.get('1')?.sinceMs, 4000);
});

test('the longest wait comes first, then most waiters, then paths, numbers by size', () => {
  const model = modelOf(
    [1, 'acquired', write('a', '10')],
    [2, 'acquired', write('a', '9')],
    [3, 'acquired', write('b', 'c', 'd')],
    [4, 'enqueued', read('b', 'c', 'd')],
    [5, 'acquired', write('q')],
    [6, 'enqueued', write('q')],
  );
  assert.deepEqual(rowTexts(model), [
    'b/c/d 1+1',
    '  3 acquired',
    '  4 enqueued',
    'q 1+1',
    '  5 acquired',
    '  6 enqueued',
    'a 2+0',
    '  9 1+0',
    '    2 acquired',
    '  10 1+0',
    '    1 acquired',
  ]);
  assert.deepEqual(rowTexts(model, { sorting: 'path' })[0], 'a 2+0');
  const collapsed = new Set(['a', 'b/c/d', 'q']);
  assert.deepEqual(rowTexts(model, { collapsed }), ['b/c/d 1+1', 'q 1+1', 'a 2+0']);
});

test('a filter keeps the paths and the clients that contain it', () => {
  const model = modelOf([1, 'acquired', write('a', 'x')], [2, 'acquired', write('A'), write('b')]);
  model.list({ ...listed(3, 'acquired', write('c')), session: 'Till 7' }, 3);
  assert.deepEqual(rowTexts(model, { filter: 'a/X' }), ['a/x 1+0', '  1 acquired']);
  assert.deepEqual(rowTexts(model, { filter: 'till' }), ['c 1+0', '  3 acquired']);
  assert.equal(rowTexts(model, { filter: 'a' }).length, 4);
  assert.deepEqual(rowTexts(model, { filter: 'none' }), []);
});

test('the root has a row of its own if it is locked; places are counted below each path', () => {
  const model = modelOf([1, 'acquired', read()], [2, 'enqueued', write('a')]);
  assert.deepEqual(rowTexts(model), ['/ 1+1', '  1 acquired', '  a 0+1', '    2 enqueued']);
  const places = treeRows(model, ALL).map(({ position, setSize }) => `${position}/${setSize}`);
  assert.deepEqual(places, ['1/1', '1/2', '2/2', '1/1']);
});

test('a parent waits for its child, and a lock behind a waiter for that one', () => {
  const model = modelOf(
    [1, 'acquired', write('a', 'b')],
    [2, 'enqueued', read('a')],
    [3, 'enqueued', write('a', 'c')],
    [4, 'acquired', read('z')],
  );
  const blockers = (id: string) => {
    const lock = model.get(id);
    return lock === undefined ? [] : ids(blockersOf(model, lock));
  };
  assert.deepEqual(['1', '2', '3', '4'].map(blockers), [[], ['1'], ['2'], []]);
  const last = model.get('3');
  assert.equal(last && oldestBlocker(model, last)?.id, '2');
  assert.deepEqual(ids(grantedBy(model, new Set(['1'])).locks), ['2']);
  assert.deepEqual(ids(grantedBy(model, new Set(['2'])).locks), ['3']);
  assert.deepEqual(ids(grantedBy(model, new Set(['1', '2'])).locks), ['3']);
});

test('what the server would grant is what the page foretells', () => {
  const random = new Random(7);
  const segments = ['a', 'b', 'c'];
  for (let round = 0; round < 300; round++) {
    const table = new LockTable<undefined>();
    const locks: Lock<undefined>[] = [];
    for (let i = 0; i < 12; i++) {
      const resources = Array.from({ length: 1 + random.below(3) }, (): Resource => {
        const path = segments.slice(0, random.below(3)).map(() => random.pick(segments));
        const kind = random.below(3);
        if (kind === 0) return write(...path);
        return kind === 1 ? read(...path) : limited(1 + random.below(2), ...path);
      });
      locks.push(table.lock(resources, undefined));
    }
    const model = new LockModel();
    for (const lock of locks) {
      const { id, state } = lock;
      if (state === 'released') continue;
      model.list(listed(Number(id), state, ...lock.resources), 0);
    }
    const ended = random.pick(locks);
    const foretold = grantedBy(model, new Set([String(ended.id)]));
    const granted = table.release(ended).map(({ id }) => String(id));
    assert.deepEqual(ids(foretold.locks), granted.sort(), `round ${round}`);
  }
});

test('a series keeps the last minutes, and a chart has gaps where nothing is known', () => {
  const series = new Series();
  for (let i = 0; i <= SERIES_LENGTH; i++) series.push(i);
  assert.equal(series.values.length, SERIES_LENGTH);
  assert.deepEqual([series.last, series.max], [SERIES_LENGTH, SERIES_LENGTH]);
  assert.equal(chartPath([0, 1, undefined, 1], 1, 299, 10), 'M296.0 10.0L297.0 0.0M299.0 0.0');
});
