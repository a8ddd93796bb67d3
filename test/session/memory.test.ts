/** The bound on the memory of what is kept for clients: to the byte, for all together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import {
  lockBytes,
  maxSessionBytes,
  namespaceBytes,
  sessionBytes,
  WATCH_BYTES,
  watchNodeBytes,
} from '../../src/session/memory.ts';
import type { Namespaces } from '../../src/session/namespace.ts';
import type { Watcher } from '../../src/session/watchers.ts';
import type { Path } from '../../src/table/resource.ts';
import { withSeeds } from '../support/random.ts';
import { read, write } from '../support/resources.ts';
import { SessionCrowd } from '../support/session-crowd.ts';
import { mustGet, setUp } from '../support/session-host.ts';

const DEAF: Watcher = { watched: () => {} };

test('all locks of the server together may take so many bytes; one more is refused', () => {
  const resources = [write('a', 'b'), read('c')];
  const bytes = lockBytes(resources, {}, undefined);
  const maxLockBytes = 100_000 + 3 * bytes;
  const { open, host } = setUp({ maxLockBytes });
  const { memory } = host.registry;
  const [one, other] = [open('one'), open('other', 1000, 'another namespace')];
  memory.charge(100_000 - memory.charged);
  const held = mustGet(one, {}, ...resources);
  const waiting = mustGet(one, {}, ...resources);
  mustGet(other, {}, ...resources);
  assert.equal(memory.charged, maxLockBytes);
  assert.deepEqual(other.lock([read()], {}), { code: 'server_full' });
  assert.deepEqual(one.lock([write('x')], { owner: 'a' }), { code: 'server_full' });
  assert.equal(one.namespace.watchers.add(DEAF, []), false);
  assert.equal(host.registry.refuseSession(host.limits), 'server_full');
  one.release(waiting);
  assert.equal(memory.charged, maxLockBytes - bytes);
  one.release(held);
  assert.equal(one.namespace.watchers.add(DEAF, []), true);
});

test('words, owners and limits in time count', () => {
  const resources = [write('a')];
  const plain = lockBytes(resources, {}, undefined);
  const more = (terms: Parameters<typeof lockBytes>[1]) =>
    lockBytes(resources, terms, undefined) - plain;
  const name = 'x'.repeat(200);
  assert.ok(lockBytes(resources, {}, name) - plain >= 400);
  assert.ok(more({ label: name }) >= 400);
  assert.ok(more({ owner: name }) >= 400);
  assert.ok(more({ waitMs: 5 }) > 100);
  assert.ok(more({ holdMs: 5 }) > 100);
});

test('the first hold limit that an extension gives a lock counts, and is refused without room', () => {
  const lockOf = (terms: Parameters<typeof lockBytes>[1]) =>
    lockBytes([write('a')], terms, undefined);
  const limit = lockOf({ holdMs: 1 }) - lockOf({});
  const maxLockBytes = 100_000 + limit;
  const { open, host, clock } = setUp({ maxLockBytes });
  const { memory } = host.registry;
  const one = open('one');
  const held = mustGet(one, {}, write('a'));
  memory.charge(100_000 - memory.charged + 1);
  assert.equal(one.extend(held, 5), false);
  assert.equal(clock.pendingTimers, 0);
  assert.equal(one.extend(held, undefined), true);
  memory.discharge(1);
  assert.equal(one.extend(held, 5), true);
  assert.equal(memory.charged, maxLockBytes);
  assert.equal(one.extend(held, 50), true, 'it is charged once');
  assert.equal(one.extend(held, undefined), true);
  assert.equal(memory.charged, 100_000);
  one.extend(held, 5);
  const before = memory.charged;
  one.release(held);
  assert.equal(memory.charged, before - lockOf({ holdMs: 5 }));
});

test('over the limit, as after a restart with a lower one, what takes no memory is not refused', () => {
  const { open, host } = setUp({ maxLockBytes: 100_000 });
  const { memory } = host.registry;
  const one = open('one');
  const held = mustGet(one, { holdMs: 10 }, write('a'));
  const endless = mustGet(one, {}, write('b'));
  memory.charge(200_000);
  assert.equal(one.extend(held, 20), true, 'its timer is charged');
  assert.equal(one.extend(endless, undefined), true, 'it needs none');
  assert.equal(one.extend(endless, 20), false, 'this one would');
  assert.equal(one.extend(held, undefined), true, 'and this gives some back');
});

test('a lock that is refused for another reason takes none', () => {
  const { open, host } = setUp({ maxWaitersPerNamespace: 1 });
  const { memory } = host.registry;
  const [one, other] = [open('one'), open('other')];
  one.lock([write('a')], {});
  const bytes = memory.charged;
  assert.equal('code' in other.lock([write('a')], { waitMs: 0 }), true);
  assert.equal(memory.charged, bytes);
  other.lock([write('a')], {});
  const both = memory.charged;
  assert.deepEqual(other.lock([write('a')], {}), { code: 'too_many_waiters' });
  assert.equal(memory.charged, both);
});

test('when all has ended, in whatever way, nothing is charged', () => {
  const { open, host, clock } = setUp();
  const [one, other, third] = [open('one', 50, 'shop', 'secret'), open('other', 0), open('third')];
  mustGet(one, { holdMs: 10, label: 'l' }, write('a'));
  mustGet(other, { waitMs: 5, owner: 'o' }, write('a'));
  mustGet(other, { waitMs: 0 }, write('b'));
  mustGet(third, { ref: 'r' }, read('c'));
  one.namespace.watchers.add(DEAF, ['a', 'b']);
  clock.advance(20);
  one.loseFirst();
  other.loseFirst();
  third.evict();
  clock.advance(100);
  one.namespace.watchers.removeAll(DEAF);
  assert.equal(host.registry.memory.charged, 0);
});

/** What the account should have, by adding up all that there is. */
function sumOf(namespaces: Namespaces, watched: readonly Path[]): number {
  let bytes = 0;
  for (const { name, sessions } of namespaces) {
    bytes += namespaceBytes(name);
    for (const session of sessions) {
      bytes += sessionBytes(session);
      for (const { resources, context } of session.locks) {
        bytes += lockBytes(resources, context.terms, context.ref);
      }
    }
  }
  const nodes = new Map<string, number>();
  for (const path of watched) {
    bytes += WATCH_BYTES;
    for (const [i, segment] of path.entries()) {
      nodes.set(JSON.stringify(path.slice(0, i + 1)), watchNodeBytes(segment));
    }
  }
  for (const node of nodes.values()) bytes += node;
  return bytes;
}

test('after any step the account has what all that there is adds up to', () => {
  withSeeds(60, (random) => {
    const crowd = new SessionCrowd(random, { maxLockBytes: random.pick([20_000, 60_000, 1e9]) });
    const { registry } = crowd.host;
    for (let step = 0; step < 80; step++) {
      crowd.step();
      assert.equal(registry.memory.charged, sumOf(registry, [...crowd.watched.values()]));
    }
    crowd.end();
    assert.equal(registry.memory.charged, 0);
  });
});

test('where memory is short, lost sessions without a lock give way, the longest lost first', () => {
  const bytes = maxSessionBytes(DEFAULT_LIMITS);
  const { open, host } = setUp({ maxLockBytes: 12 * bytes });
  const { memory } = host.registry;
  const keeper = open('keeper');
  let lost = 0;
  while (memory.charged + bytes <= 12 * bytes) {
    open('lost', 1000, 'shop', `lost-${lost++}`).loseFirst();
  }
  assert.equal(host.registry.refuseSession(host.limits), undefined);
  assert.equal(host.registry.resumable('lost-0'), undefined, 'for a session');
  assert.ok(host.registry.resumable(`lost-${lost - 1}`));
  const before = host.registry.resumableCount;
  mustGet(keeper, {}, ...Array.from({ length: 10 }, (_, i) => write(`${i}`)));
  assert.ok(host.registry.resumableCount < before, 'for a lock');
  assert.ok(host.registry.resumableCount > 0, 'no more than must');
  while (keeper.namespace.watchers.add(DEAF, [String(memory.charged)])) {}
  assert.equal(host.registry.resumableCount, 0, 'for a watch');
  assert.equal(host.registry.refuseSession(host.limits), 'server_full');
});

test('one request ends a bounded number of them', () => {
  const { open, host } = setUp({ maxLockBytes: 8_400_000 });
  const keeper = open('keeper');
  for (let i = 0; i < 4000; i++) open('lost', 1000, 'shop', `lost-${i}`).loseFirst();
  const resources = Array.from({ length: 1000 }, (_, i) => write(...Array(20).fill(`${i}`)));
  const ended: number[] = [];
  let lock = keeper.lock(resources, {});
  while ('code' in lock && ended.length < 10) {
    ended.push(host.registry.resumableCount);
    lock = keeper.lock(resources, {});
  }
  assert.deepEqual(ended, [3000, 2000]);
});

test('none gives way for what there would be no room for all the same', () => {
  const { open, host } = setUp({ maxLockBytes: 1_000_000 });
  const keeper = open('keeper');
  for (let i = 0; i < 100; i++) open('lost', 1000, 'shop', `lost-${i}`).loseFirst();
  const resources = Array.from({ length: 1000 }, (_, i) => write(...Array(20).fill(`${i}`)));
  assert.ok('code' in keeper.lock(resources, {}));
  assert.equal(host.registry.resumableCount, 100);
});
