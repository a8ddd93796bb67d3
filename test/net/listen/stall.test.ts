/**
 * A server whose event loop stood still: what clients had sent by then counts before anybody is
 * expired. The stall is real, a loop that keeps the process busy past the limit in question.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { LineClient, lock, write } from '../../support/line-client.ts';
import { startServer } from '../../support/running-server.ts';

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

/** Connects and resumes sessions as soon as it is told to, whatever the test's process does. */
const RESUMER = `
  const { connect } = require('node:net');
  const [port, ...sessions] = process.argv.slice(1);
  process.stdin.once('data', () => {
    for (const session of sessions) {
      const socket = connect(Number(port), '127.0.0.1');
      socket.write(JSON.stringify({ action: 'hello', session }) + '\\n');
      socket.once('data', (reply) => {
        console.log(String(reply).split('\\n')[0]);
        socket.destroy();
      });
    }
  });
  console.log('ready');
`;

/** Resumes a session on a WebSocket, of which only the handshake can arrive during the stall. */
const WEBSOCKET_RESUMER = `
  const { WebSocket } = require('ws');
  const [port, session] = process.argv.slice(1);
  process.stdin.once('data', () => {
    const socket = new WebSocket('ws://127.0.0.1:' + port + '/v2');
    socket.on('open', () => socket.send(JSON.stringify({ action: 'hello', session })));
    socket.once('message', (reply) => {
      console.log(String(reply));
      socket.terminate();
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

test('of many clients that came back during the stall none is too late', async (t) => {
  const { address } = await startServer(t);
  const sessions: string[] = [];
  const clients: LineClient[] = [];
  for (let i = 0; i < 100; i++) {
    const client = await LineClient.connect(t, address.port);
    clients.push(client);
    // They are lost one after another; the last is lost less than a second before the stall.
    const { session } = await client.ask({ action: 'hello', abandonTimeoutMs: 1000 });
    sessions.push(String(session));
  }
  const resumer = spawn(process.execPath, ['-e', RESUMER, String(address.port), ...sessions]);
  t.after(() => resumer.kill());
  let printed = '';
  resumer.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  while (!printed.includes('ready')) await once(resumer.stdout, 'data');
  for (const client of clients) client.socket.end();
  await Promise.all(clients.map((client) => client.ended()));
  resumer.stdin.end('now\n');
  stall(1500);
  await once(resumer, 'close');
  assert.equal(printed.match(/"resumed":true/g)?.length, sessions.length, printed);
});

test('a client whose handshake arrived during the stall finds its session', async (t) => {
  const { address } = await startServer(t);
  const client = await LineClient.connect(t, address.port);
  const { session } = await client.ask({ action: 'hello', abandonTimeoutMs: 1000 });
  const args = ['-e', WEBSOCKET_RESUMER, String(address.port), String(session)];
  const resumer = spawn(process.execPath, args);
  t.after(() => resumer.kill());
  await once(resumer.stdout, 'data');
  client.socket.end();
  await client.ended();
  resumer.stdin.end('now\n');
  stall(1500);
  const [reply] = await once(resumer.stdout, 'data');
  assert.match(String(reply), /"resumed":true/);
});
