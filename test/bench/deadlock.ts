/**
 * Times the search for deadlocks, apart from the server: in graphs of every day, and in the worst
 * that we know. `node --import tsx test/bench/deadlock.ts` prints milliseconds for each.
 */
import { HOSTILE_GRAPHS, OwnerCrowd, USUAL_GRAPHS } from '../support/wait-graphs.ts';

const OWNERS = 10_000;
const RUNS = 200;

for (const { sentence, build } of [...USUAL_GRAPHS, ...HOSTILE_GRAPHS]) {
  const crowd = new OwnerCrowd();
  const lock = build(crowd, OWNERS);
  const runs = Array.from({ length: RUNS }, () => {
    const startMs = performance.now();
    crowd.search(lock);
    return performance.now() - startMs;
  });
  const [first = 0] = runs;
  const sorted = runs.toSorted((a, b) => a - b);
  const at = (part: number) => (sorted[Math.floor(part * RUNS)] ?? 0).toFixed(3);
  const row = `first ${first.toFixed(3)}  p50 ${at(0.5)}  p99 ${at(0.99)}`;
  process.stdout.write(`${row}  ${sentence}\n`);
}
