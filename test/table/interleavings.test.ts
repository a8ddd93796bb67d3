/**
 * All interleavings of small scripts. Each client does two steps, lock and release, and the steps
 * of different clients come in every possible order. Nobody waits for his lock before he releases
 * it: so the orders include every way of leaving the queue early as well.
 *
 * Without loss of generality client 1 locks first, then 2, then 3: another order is the same with
 * the clients renamed, and every assignment of locks to clients is tried. That leaves 15 orders of
 * three clients and 105 of four. What is covered, each step against the model and the invariants:
 *
 *  - Three clients, one resource each: write, read, limited read (of 1 and of 2) on the root, a
 *    parent, a child and its sibling. 16^3 triples x 15 orders = 61,440 runs.
 *  - Three clients, of which the middle one has two resources: write, read, limited read (of 1) on
 *    a parent, a child and its sibling. 9 x 36 x 9 x 15 = 43,740 runs.
 *  - Four clients in line on one path: write, limited reads of 1, 2 and 3.
 *    4^4 x 105 = 26,880 runs.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lock } from '../../src/table/lock.ts';
import type { Resource } from '../../src/table/resource.ts';
import { CheckedTable } from '../support/checked-table.ts';
import { limited, read, write } from '../support/resources.ts';

/** Client numbers in the order of their steps: a client's first step locks, its second releases. */
type Order = readonly number[];

function allOrders(clients: number): Order[] {
  const extend = (order: number[], stepsLeft: number[], next: number): Order[] => {
    if (order.length === 2 * clients) return [order];
    const released = stepsLeft.flatMap((client) =>
      extend(
        [...order, client],
        stepsLeft.filter((other) => other !== client),
        next,
      ),
    );
    if (next === clients) return released;
    return [...released, ...extend([...order, next], [...stepsLeft, next], next + 1)];
  };
  return extend([], [], 0);
}

/** Every way to pick one from each list. */
function allChoices<T>(lists: readonly (readonly T[])[]): T[][] {
  return lists.reduce<T[][]>(
    (choices, list) => choices.flatMap((choice) => list.map((item) => [...choice, item])),
    [[]],
  );
}

function allPairs<T>(items: readonly T[]): T[][] {
  return items.flatMap((first, i) => items.slice(i + 1).map((second) => [first, second]));
}

function play(order: Order, scripts: readonly (readonly Resource[])[]): void {
  const table = new CheckedTable();
  const held = new Map<number, Lock>();
  for (const client of order) {
    const lock = held.get(client);
    if (lock === undefined) held.set(client, table.lock(scripts[client] ?? []));
    else table.release(lock);
  }
  table.checkEmpty();
}

/** Plays every choice of one lock for each client in every order, and returns how many that were. */
function playAll(locksByClient: readonly (readonly (readonly Resource[])[])[]): number {
  const orders = allOrders(locksByClient.length);
  const choices = allChoices(locksByClient);
  for (const scripts of choices) {
    for (const order of orders) {
      try {
        play(order, scripts);
      } catch (error) {
        throw new Error(`order ${order}, ${JSON.stringify(scripts)}`, { cause: error });
      }
    }
  }
  return orders.length * choices.length;
}

test('three clients with one resource each, in every order of their steps', () => {
  const paths = [[], ['a'], ['a', 'b'], ['a', 'c']];
  const locks = paths.flatMap((path) => [
    [write(...path)],
    [read(...path)],
    [limited(1, ...path)],
    [limited(2, ...path)],
  ]);
  assert.equal(playAll([locks, locks, locks]), 61_440);
});

test('three clients, the middle one with two resources, in every order of their steps', () => {
  const paths = [['a'], ['a', 'b'], ['a', 'c']];
  const resources = paths.flatMap((path) => [write(...path), read(...path), limited(1, ...path)]);
  const single = resources.map((resource) => [resource]);
  assert.equal(playAll([single, allPairs(resources), single]), 43_740);
});

test('four clients in line on one path, in every order of their steps', () => {
  const locks = [write('a'), limited(1, 'a'), limited(2, 'a'), limited(3, 'a')];
  const single = locks.map((resource) => [resource]);
  assert.equal(playAll([single, single, single, single]), 26_880);
});
