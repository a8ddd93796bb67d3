/**
 * A server whose event loop stood still: what clients had sent by then counts before anybody is
 * expired. The stall is real: the thread sleeps past the limit in question.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { systemClock } from '../../../src/runtime/clock.ts';
import { makeCertificate, temporaryFolder } from '../../support/certificates.ts';
import { LineClient, lock, write } from '../../support/line-client.ts';
import { startServer } from '../../support/running-server.ts';

/** Stops the event loop for `ms` milliseconds, and until the other process has written `sent`. */
function stall(ms: number, sent?: string): void {
  const end = performance.now() + ms;
  const never = new Int32Array(new SharedArrayBuffer(4));
  while (performance.now() < end || (sent !== undefined && !existsSync(sent))) {
    Atomics.wait(never, 0, 0, 10);
  }
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

/**
 * Connects and resumes sessions as soon as it is told to, whatever the test's process does, and
 * makes a file once that is sent.
 */
const RESUMER = `
  const { connect } = require('node:net');
  const { writeFileSync } = require('node:fs');
  const [sent, port, ...sessions] = process.argv.slice(1);
  process.stdin.once('data', () => {
    let left = sessions.length;
    for (const session of sessions) {
      const socket = connect(Number(port), '127.0.0.1');
      socket.write(JSON.stringify({ action: 'hello', session }) + '\\n', () => {
        if (--left === 0) writeFileSync(sent, '');
      });
      socket.once('data', (reply) => {
        console.log(String(reply).split('\\n')[0]);
        socket.destroy();
      });
    }
  });
  console.log('ready');
`;

/** The same on a WebSocket, of which only the handshake can arrive during the stall. */
const WEBSOCKET_RESUMER = `
  const { connect } = require('node:net');
  const { writeFileSync } = require('node:fs');
  const { WebSocket } = require('ws');
  const [sent, port, session] = process.argv.slice(1);
  process.stdin.once('data', () => {
    const createConnection = (options) =>
      connect(options).once('connect', () => setImmediate(() => writeFileSync(sent, '')));
    const socket = new WebSocket('ws://127.0.0.1:' + port + '/v2', { createConnection });
    socket.on('open', () => socket.send(JSON.stringify({ action: 'hello', session })));
    socket.once('message', (reply) => {
      console.log(String(reply));
      socket.terminate();
    });
  });
  console.log('ready');
`;

/** A process that runs one of these scripts, once it is ready. */
async function startResumer(
  t: TestContext,
  script: string,
  port: number,
  sessions: readonly unknown[],
) {
  const sent = join(temporaryFolder(t), 'sent');
  const args = [sent, String(port), ...sessions.map(String)];
  const child = spawn(process.execPath, ['-e', script, ...args]);
  t.after(() => child.kill());
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  while (!printed.includes('ready')) await once(child.stdout, 'data');
  /** Stalls while it resumes; returns what it was answered. */
  const resumeInStall = async (): Promise<string> => {
    child.stdin.end('now\n');
    stall(1200, sent);
    await once(child, 'close');
    return printed;
  };
  return resumeInStall;
}

test('a client that came back during the stall finds its session', async (t) => {
  const { address } = await startServer(t);
  const client = await LineClient.connect(t, address.port);
  const { session } = await client.ask({ action: 'hello', abandonTimeoutMs: 1000 });
  await client.ask(lock(write('a')));
  const resumeInStall = await startResumer(t, RESUMER, address.port, [session]);
  client.socket.end();
  await client.ended();
  assert.match(await resumeInStall(), /"resumed":true,"locks":1/);
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
  const resumeInStall = await startResumer(t, RESUMER, address.port, sessions);
  for (const client of clients) client.socket.end();
  await Promise.all(clients.map((client) => client.ended()));
  const printed = await resumeInStall();
  assert.equal(printed.match(/"resumed":true/g)?.length, sessions.length, printed);
});

test('a client whose handshake arrived during the stall finds its session', async (t) => {
  const { address } = await startServer(t);
  const client = await LineClient.connect(t, address.port);
  const { session } = await client.ask({ action: 'hello', abandonTimeoutMs: 1000 });
  const resumeInStall = await startResumer(t, WEBSOCKET_RESUMER, address.port, [session]);
  client.socket.end();
  await client.ended();
  assert.match(await resumeInStall(), /"resumed":true/);
});

test('a handshake of TLS that arrived during the stall is carried out', async (t) => {
  let arrived = (): void => {};
  const isAccepted = new Promise<void>((resolve) => (arrived = resolve));
  const { cert, key } = makeCertificate(temporaryFolder(t), 'localhost');
  const { address } = await startServer(t, {
    clock: { ...systemClock, arrived },
    tls: { cert, key },
    limits: { firstMessageMs: 400 },
  });
  const socket = connect(address.port, '127.0.0.1');
  await isAccepted;
  const client = connectTls({ socket, ca: cert, servername: 'localhost' });
  t.after(() => client.destroy());
  // It writes the beginning of its handshake before this goes on.
  await new Promise((resolve) => setImmediate(resolve));
  stall(600);
  await once(client, 'secureConnect');
});
