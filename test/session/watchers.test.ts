/** Who hears what of locks: as a plain comparison of paths says, each once, at a cost that is bounded. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SessionLock } from '../../src/session/lock-record.ts';
import { MemoryAccount } from '../../src/session/memory.ts';
import { type WatchedEvent, type Watcher, Watchers } from '../../src/session/watchers.ts';
import type { Path, Resource } from '../../src/table/resource.ts';
import { type Random, withSeeds } from '../support/random.ts';
import { write } from '../support/resources.ts';
import { mustGet, setUp } from '../support/session-host.ts';
import { countSteps } from '../support/steps.ts';

class Listener implements Watcher {
  readonly heard: WatchedEvent[] = [];

  watched(event: WatchedEvent): void {
    this.heard.push(event);
  }
}

function setUpWatchers(maxBytes = 1e12) {
  const memory = new MemoryAccount(maxBytes, { bytes: () => 0, giveWay: () => false });
  return { memory, watchers: new Watchers(memory) };
}

/** A lock that nobody else wants. */
function lockOf(...resources: Resource[]): SessionLock {
  return mustGet(setUp().open('a'), {}, ...resources);
}

function isWatched({ resources }: SessionLock, paths: readonly Path[]): boolean {
  return resources.some(({ path }) =>
    paths.some((top) => top.length <= path.length && top.every((name, i) => name === path[i])),
  );
}

function randomPath(random: Random): string[] {
  const length = random.below(4);
  return Array.from({ length }, () => random.pick(['a', 'b', '', '7', 'é']));
}

test('random watches hear what a comparison with each path says, once, and leave nothing', () => {
  withSeeds(40, (random) => {
    const { memory, watchers } = setUpWatchers();
    const known = new Map(
      Array.from({ length: 4 }, () => [new Listener(), new Map<string, Path>()]),
    );
    for (let step = 0; step < 300; step++) {
      const [watcher, paths] = random.pick([...known]);
      const path = randomPath(random);
      const key = JSON.stringify(path);
      if (random.oneIn(2)) {
        assert.equal(watchers.add(watcher, path), true);
        paths.set(key, path);
      } else if (random.oneIn(10)) {
        watchers.removeAll(watcher);
        paths.clear();
      } else {
        watchers.remove(watcher, path);
        paths.delete(key);
      }
      assert.equal(watchers.countOf(watcher), paths.size);
      assert.equal(watchers.has(watcher, path), paths.has(key));
      const lock = lockOf(write(...randomPath(random)), write(...randomPath(random)));
      watchers.tell('acquired', lock);
      for (const [{ heard }, all] of known) {
        assert.equal(heard.splice(0).length, isWatched(lock, [...all.values()]) ? 1 : 0);
      }
    }
    for (const watcher of known.keys()) watchers.removeAll(watcher);
    assert.equal(memory.charged, 0);
  });
});

test('all watchers hear the same event, so what they send is put together once', () => {
  const { watchers } = setUpWatchers();
  const listeners = Array.from({ length: 3 }, () => new Listener());
  for (const [i, listener] of listeners.entries()) {
    watchers.add(listener, ['a', 'b', 'c'].slice(0, i));
  }
  watchers.tell('released', lockOf(write('a', 'b', 'c'), write('a', 'd')));
  const [event, ...others] = new Set(listeners.flatMap(({ heard }) => heard));
  assert.equal(event?.event, 'released');
  assert.deepEqual(others, []);
});

const long = (top: string): string[] => [top, ...Array(99).fill('x')];

/** Steps to tell of a lock of 100 long paths where others watch as many long paths. */
function stepsBeside(count: number, pathOf: (i: number) => Path): number {
  const { watchers } = setUpWatchers();
  for (let i = 0; i < count; i++) {
    const other = new Listener();
    for (let k = 0; k < 20; k++) watchers.add(other, [...pathOf(i), String(k)]);
  }
  const lock = lockOf(...Array.from({ length: 100 }, (_, i) => write(...long(`${i}`))));
  return countSteps(() => watchers.tell('acquired', lock), ['session', 'table']);
}

test('those who watch other paths cost nothing, however many there are', () => {
  for (const pathOf of [
    (i: number) => ['other', `${i}`],
    () => long('7'),
    (i: number) => [`${i}`],
  ]) {
    const [few = 0, many = 0] = [10, 200].map((count) => stepsBeside(count, pathOf));
    // At most one look for each of the 100 paths more, for a first segment that is watched now.
    assert.ok(many < few + 10 * 100, `steps: ${few}, ${many}`);
  }
});

test('a watcher of many paths is found once for each lock, whatever the lock names', () => {
  const steps = [1, 100].map((resources) => {
    const { watchers } = setUpWatchers();
    for (let i = 0; i < 50; i++) watchers.add(new Listener(), []);
    const lock = lockOf(...Array.from({ length: resources }, (_, i) => write(`${i}`)));
    return countSteps(() => watchers.tell('acquired', lock), ['session', 'table']);
  });
  const [one = 0, hundred = 0] = steps;
  assert.ok(hundred < one + 100 * 20, `steps: ${steps}`);
});

test('what is watched is bounded by the account of memory, and pays for new segments only', () => {
  const { memory, watchers } = setUpWatchers(100_000);
  const watcher = new Listener();
  let count = 0;
  while (watchers.add(watcher, long(`${count}`))) count++;
  assert.ok(count > 0 && count < 10, `${count} paths`);
  assert.ok(memory.charged <= 100_000);
  const before = memory.charged;
  assert.equal(watchers.add(watcher, long(`${count}`)), false);
  assert.equal(memory.charged, before, 'an error costs nothing');
  assert.equal(watchers.countOf(watcher), count);
  assert.equal(watchers.add(watcher, long('0').slice(0, 50)), true, 'a part of what is there');
  watchers.remove(watcher, long('0'));
  watchers.removeAll(watcher);
  assert.equal(memory.charged, 0);
});
