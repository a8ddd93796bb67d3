/**
 * Counts the steps that the code of src/table, or of other rooms, executes: a measure of cost that
 * is the same on every run and machine, without a clock and without a counter in the code itself.
 *
 * V8's block coverage counts how often each function and each branch and loop body ran; a step is
 * one of those counts. Steps inside the engine (a Map's lookup, a sort's moves) are not seen, calls
 * from there into src/table (a sort's comparisons) are.
 *
 * A process that counts is slow, and its own coverage (npm run coverage) is lost: count in a test
 * file of its own.
 */
import assert from 'node:assert/strict';
import { Session } from 'node:inspector';
import { setFlagsFromString } from 'node:v8';

// Optimised code does not count all its calls. V8 has two compilers that optimise.
setFlagsFromString('--no-opt');
setFlagsFromString('--no-maglev');
const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

/** The number of steps that `work` takes in those rooms of src. */
export function countSteps(work: () => void, rooms: readonly string[] = ['table']): number {
  takeSteps(rooms);
  work();
  return takeSteps(rooms);
}

/** The steps since the previous call. */
function takeSteps(rooms: readonly string[]): number {
  let steps: number | undefined;
  session.post('Profiler.takePreciseCoverage', (error, { result }) => {
    assert.equal(error, null);
    steps = result
      .filter(({ url }) => rooms.some((room) => url.includes(`/src/${room}/`)))
      .flatMap((script) => script.functions.flatMap((fn) => fn.ranges))
      .reduce((sum, range) => sum + range.count, 0);
  });
  assert.ok(steps !== undefined, 'the inspector answers at once within one process');
  return steps;
}
