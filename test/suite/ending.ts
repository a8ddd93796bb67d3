/**
 * Loaded into each process of tests, before them: ends the process if something keeps it alive after
 * its last test, and says what. A command that a test started may leave a process behind that has the
 * command's output open; the runner would wait for it until the timeout of the file, and fail.
 */
import { after } from 'node:test';

/** Long after what tests wait for at their end. */
const PATIENCE_MS = 20_000;

// The runner itself runs no tests.
if (process.env.NODE_TEST_CONTEXT !== undefined) {
  after(() => {
    setTimeout(() => {
      const open = process.getActiveResourcesInfo().join(', ');
      console.error(`ended after its last test, with these still open: ${open}`);
      process.exit();
    }, PATIENCE_MS).unref();
  });
}
