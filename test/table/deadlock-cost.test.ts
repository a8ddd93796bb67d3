/**
 * What a search for a deadlock costs: next to nothing in the graphs of every day, however many owners
 * wait, and never more than a bound, whatever the graph. Steps of src/table are counted, not timed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countSteps } from '../support/steps.ts';
import {
  HOSTILE_GRAPHS,
  OwnerCrowd,
  USUAL_GRAPHS,
  type WaitGraph,
} from '../support/wait-graphs.ts';

const COUNTS = [100, 1000, 10_000] as const;

function searchIn({ sentence, mostSteps, length, build }: WaitGraph, count: number): void {
  const crowd = new OwnerCrowd();
  const lock = build(crowd, count);
  let found = 0;
  const steps = countSteps(() => {
    found = crowd.search(lock);
  });
  assert.ok(steps > 5, 'steps are seen at all');
  assert.ok(steps <= mostSteps, `${sentence}, ${count}: ${steps} steps`);
  assert.equal(found, length);
}

for (const graph of USUAL_GRAPHS) {
  const { sentence, mostSteps } = graph;
  test(`${sentence}: a search takes at most ${mostSteps} steps among any number`, () => {
    for (const count of COUNTS) searchIn(graph, count);
  });
}

for (const graph of HOSTILE_GRAPHS) {
  test(`${graph.sentence}: the search is bounded`, () => searchIn(graph, 10_000));
}
