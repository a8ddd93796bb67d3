/**
 * A peer behind a firewall that swallows everything, in network namespaces made for it: the network
 * of the machine itself is not touched.
 *
 * Needs root and `ip`, and is skipped where it can't have namespaces. `FIREWALL_PINGS=1` also waits
 * the 45 seconds that the pings of WebSocket may take.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { nodeArgs } from '../support/compiled.ts';

const HERE = `locktopus-near-${process.pid}`;
const THERE = `locktopus-far-${process.pid}`;
const [ADDRESS, FAR_ADDRESS] = ['198.18.0.1', '198.18.0.2'];

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' });
}

/** Why there can be no namespace here, if there can't. */
function error(): string | false {
  try {
    ip('netns', 'add', HERE);
    ip('netns', 'delete', HERE);
    return false;
  } catch {
    return 'no network namespace can be made here';
  }
}

/** Two namespaces and a link between them, until the test ends. */
function link(t: TestContext): void {
  for (const namespace of [HERE, THERE]) {
    ip('netns', 'add', namespace);
    t.after(() => ip('netns', 'delete', namespace));
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
  }
  ip('-n', HERE, 'link', 'add', 'near', 'type', 'veth', 'peer', 'name', 'far', 'netns', THERE);
  ip('-n', HERE, 'address', 'add', `${ADDRESS}/30`, 'dev', 'near');
  ip('-n', THERE, 'address', 'add', `${FAR_ADDRESS}/30`, 'dev', 'far');
  ip('-n', HERE, 'link', 'set', 'near', 'up');
  ip('-n', THERE, 'link', 'set', 'far', 'up');
}

/** Milliseconds from the cut until the lock of the far peer is given to another. */
async function timeLoss(t: TestContext, kind: 'lines' | 'websocket'): Promise<number> {
  link(t);
  const node = [
    process.execPath,
    ...nodeArgs('test/faults/behind-a-firewall.ts'),
    kind,
    THERE,
    ADDRESS,
  ];
  const child = spawn('ip', ['netns', 'exec', HERE, ...node], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (bytes) => {
    output += bytes;
  });
  await once(child, 'close');
  assert.match(output, /^\d+\n$/);
  return Number(output);
}

const skip = error();

test('a peer cut off by a firewall loses its lock after its heartbeat and abandon timeout', {
  skip,
}, async (t) => {
  const ms = await timeLoss(t, 'lines');
  t.diagnostic(`heartbeat 600 ms, abandon timeout 500 ms: the lock was lost after ${ms} ms`);
});

test('a WebSocket peer cut off by a firewall loses its lock after a ping in vain', {
  skip: skip || (process.env.FIREWALL_PINGS === undefined && 'takes 45 s: set FIREWALL_PINGS=1'),
  timeout: 150_000,
}, async (t) => {
  const ms = await timeLoss(t, 'websocket');
  t.diagnostic(`pings every 15 s, abandon timeout 500 ms: the lock was lost after ${ms} ms`);
});
