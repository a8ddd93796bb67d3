/** The children of a node: found by segment whatever comes and goes, and however they are called. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashOf } from '../../src/table/chained-table.ts';
import { PathNode } from '../../src/table/path-node.ts';
import { withSeeds } from '../support/random.ts';

/** A node beside a Map of its children, as the table keeps them: each with something on it. */
class Family {
  readonly parent = new PathNode<void>(null, '');
  readonly known = new Map<string, PathNode<void>>();

  add(segment: string): void {
    const child = this.parent.childOrNew(segment);
    const known = this.known.get(segment);
    assert.equal(known === undefined ? child.isEmpty : child, known ?? true, segment);
    child.childOrNew('something');
    this.known.set(segment, child);
  }

  remove(child: PathNode<void>): void {
    this.parent.removeChild(child);
    this.known.delete(child.segment);
    assert.equal(child.nextInChain, null);
    assert.equal(this.parent.child(child.segment), undefined);
  }

  verify(): void {
    const children = [...this.parent.children()];
    assert.equal(children.length, this.known.size);
    assert.equal(this.parent.isEmpty, this.known.size === 0);
    assert.deepEqual(new Set(children), new Set(this.known.values()));
    for (const [segment, child] of this.known) assert.equal(this.parent.child(segment), child);
  }
}

test('random comings and goings leave what a Map would hold', () => {
  withSeeds(20, (random) => {
    const family = new Family();
    const mostAtOnce = random.pick([1, 2, 8, 400]);
    for (let step = 0; step < 2000; step++) {
      if (family.known.size < mostAtOnce && !random.oneIn(3)) {
        family.add(random.pick([`s${random.below(500)}`, '__proto__', 'constructor', '\ud800']));
      } else if (family.known.size > 0) {
        family.remove(random.pick([...family.known.values()]));
      }
      if (random.oneIn(100)) family.verify();
    }
    for (const child of [...family.known.values()]) family.remove(child);
    family.verify();
  });
});

test('two long chains that become one when the others leave lose nobody', () => {
  const family = new Family();
  const named = (slot: number, count: number, seen: string[] = []): string[] => {
    for (let i = 0; seen.length < count; i++) {
      if ((hashOf(`m${slot}.${i}`) & 0x3ff) === slot) seen.push(`m${slot}.${i}`);
    }
    return seen;
  };
  const others = Array.from({ length: 700 }, (_, i) => `other ${i}`);
  for (const name of [...others, ...named(5, 28), ...named(5 + 512, 28)]) family.add(name);
  family.verify();
  for (const name of others) {
    const child = family.known.get(name);
    if (child !== undefined) family.remove(child);
  }
  family.verify();
  // One more in that chain, and a Map takes over.
  for (const name of named(5, 40)) family.add(name);
  family.verify();
  for (const child of [...family.known.values()]) family.remove(child);
  family.verify();
});

test('names chosen to fill one chain are found as fast as others', () => {
  const family = new Family();
  const names: string[] = [];
  for (let i = 0; names.length < 200; i++) {
    if ((hashOf(`n${i}`) & 0x3ff) === 7) names.push(`n${i}`);
  }
  for (const name of names) family.add(name);
  family.verify();
  const longest = [...family.known.values()].map((child) => {
    let length = 1;
    for (let at = child.nextInChain; at !== null; at = at.nextInChain) length++;
    return length;
  });
  assert.ok(Math.max(...longest) <= 32, `a chain of ${Math.max(...longest)}`);
  for (const child of [...family.known.values()]) family.remove(child);
  family.verify();
});
