/** A heap that is smaller than what the locks may take by default: it is filled, and lives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS, roomForLocks, usualLimits } from '../../src/runtime/limits.ts';
import { LineClient, lock, write } from '../support/line-client.ts';
import { Program } from '../support/program.ts';

const SMALL_HEAP = { NODE_OPTIONS: '--max-old-space-size=64' };

const ANY_PORT = ['--port', '0', '--drain-timeout', '0'];

/** Locks that one client asks for before it reads the replies. */
const BATCH = 1000;

/** Takes locks of paths that no other client has until some are refused: the first refusal. */
async function fill(client: LineClient, name: string): Promise<unknown> {
  let first: unknown;
  for (let batch = 0; first === undefined; batch++) {
    for (let i = 0; i < BATCH; i++) client.send(lock(write(name, `${batch}`, `leaf ${i}`)));
    for (let i = 0; i < BATCH; i++) {
      const { error } = await client.next();
      first ??= error;
    }
  }
  return first;
}

test('a server with a small heap is full before it is out of memory, and lives', async (t) => {
  const program = new Program(t, [...ANY_PORT, '--max-locks', '100000'], SMALL_HEAP);
  const port = await program.port();
  await program.logged(/ listens on .*, max-lock-bytes 33554432\)\n/);
  assert.doesNotMatch(program.stdout, /warning: --max-lock-bytes/);
  const client = await LineClient.connect(t, port);
  assert.match(JSON.stringify(await fill(client, 'a')), /"server_full"/);
  const other = await LineClient.connect(t, port);
  assert.match(JSON.stringify(await fill(other, 'b')), /"server_full"/);
  assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
  program.child.kill('SIGTERM');
  assert.equal(await program.ended(), 3);
});

test('--max-lock-bytes beyond what the heap can hold is served, with a warning', async (t) => {
  const args = [...ANY_PORT, '--max-lock-bytes', '1073741824'];
  const program = new Program(t, args, SMALL_HEAP);
  await program.logged(
    /warning: --max-lock-bytes 1073741824 is more than .* heap can hold \(33554432 bytes\): /,
  );
});

test('the locks may take half of what the heap keeps, and by default a gigabyte at most', () => {
  const MIB = 1024 * 1024;
  assert.equal(roomForLocks(112 * MIB), 32 * MIB);
  assert.equal(roomForLocks(256 * MIB, 64 * MIB), 32 * MIB, 'as with 64 MiB in Node 24');
  assert.equal(roomForLocks(4144 * MIB), 2048 * MIB);
  assert.equal(roomForLocks(16 * MIB), 64 * 1024, 'the least that may be chosen');
  const { maxLockBytes } = usualLimits();
  assert.equal(maxLockBytes, Math.min(DEFAULT_LIMITS.maxLockBytes, roomForLocks()));
});
