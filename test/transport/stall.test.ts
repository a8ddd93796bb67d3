/**
 * A server whose event loop stood still: what clients had sent by then counts before anybody is
 * expired. The stall is real, a loop that keeps the process busy past the limit in question.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { LineClient, lock, write } from '../support/line-client.ts';
import { startServer } from '../support/running-server.ts';

function stall(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test('a heartbeat that arrived during the stall keeps the session', async (t) => {
  const { address } = await startServer(t);
  const client = await LineClient.connect(t, address.port);
  await client.ask({ action: 'hello', heartbeatMs: 400 });
  client.send({ action: 'ping', ref: 1 });
  stall(600);
  assert.deepEqual(await client.next(), { action: 'ping', ref: 1 });
  assert.deepEqual(await client.ask({ action: 'ping', ref: 2 }), { action: 'ping', ref: 2 });
});

test('a release that arrived during the stall comes before the end of the hold limit', async (t) => {
  const { address } = await startServer(t);
  const client = await LineClient.connect(t, address.port);
  await client.ask({ ...lock(write('a')), holdMs: 400 });
  client.send({ action: 'release' });
  stall(600);
  assert.equal((await client.next()).state, 'released');
});

/** Connects and resumes a session as soon as it is told to, whatever the test's process does. */
const RESUMER = `
  const { connect } = require('node:net');
  const [port, session] = process.argv.slice(1);
  process.stdin.once('data', () => {
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(JSON.stringify({ action: 'hello', session }) + '\\n');
    socket.once('data', (reply) => {
      console.log(String(reply).split('\\n')[0]);
      socket.destroy();
    });
  });
  console.log('ready');
`;

test('a client that came back during the stall finds its session', async (t) => {
  const { address } = await startServer(t);
  const client = await LineClient.connect(t, address.port);
  const { session } = await client.ask({ action: 'hello', abandonTimeoutMs: 1000 });
  await client.ask(lock(write('a')));
  const resumer = spawn(process.execPath, ['-e', RESUMER, String(address.port), String(session)]);
  t.after(() => resumer.kill());
  await once(resumer.stdout, 'data');
  client.socket.end();
  await client.ended();
  resumer.stdin.end('now\n');
  stall(1500);
  const [reply] = await once(resumer.stdout, 'data');
  assert.match(String(reply), /"resumed":true,"locks":1/);
});
