/**
 * Loaded into each process of tests, before them: ends the process if something keeps it alive after
 * its last test, and says what. A command that a test started may leave a process behind that has the
 * command's output open; the runner would wait for it until the timeout of the file, and fail.
 */
import { afterEach, beforeEach } from 'node:test';

/** Long after what tests wait for at their end, and longer than a file takes to load. */
const PATIENCE_MS = Number(process.env.ENDING_MS ?? 20_000);

// A test may replace them.
const [start, stop] = [setTimeout, clearTimeout];

let running = 0;
let timer: NodeJS.Timeout | undefined;

function end(): void {
  const open = process.getActiveResourcesInfo().join(', ');
  console.error(`ended after its last test, with these still open: ${open}`);
  process.exit();
}

// The runner itself runs no tests. That the tests of one file are over is not the end: the next file
// of a group may still be loading, so the time counts from the last test so far.
if (process.env.NODE_TEST_CONTEXT !== undefined) {
  beforeEach(() => {
    running++;
    stop(timer);
  });
  afterEach(() => {
    running--;
    if (running === 0) timer = start(end, PATIENCE_MS).unref();
  });
}
