/**
 * Runs inside a network namespace that is linked to another one: a server here, a client there that
 * holds a lock. Then the link goes down: no FIN, no RST, just silence. Prints the milliseconds until
 * the lock is given to somebody here who waits for it.
 *
 *     behind-a-firewall.ts KIND NAMESPACE ADDRESS    KIND is lines or websocket
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { Server } from '../../src/server.ts';
import { handshake } from '../support/websocket-client.ts';
import { text } from '../support/websocket-frames.ts';

const HEARTBEAT_MS = 600;
const ABANDON_MS = 500;

const LOCK = JSON.stringify({ action: 'lock', resources: [{ type: 'write', path: ['a'] }] });

/** What the far client sends at once; nothing more comes from it, but for its heartbeat. */
function opening(kind: string): Buffer {
  if (kind === 'websocket') {
    const target = `/v1?namespace=default&abandon-timeout-ms=${ABANDON_MS}`;
    return Buffer.concat([Buffer.from(handshake(target)), text(LOCK)]);
  }
  const hello = { action: 'hello', abandonTimeoutMs: ABANDON_MS, heartbeatMs: HEARTBEAT_MS };
  return Buffer.from(`${JSON.stringify(hello)}\n${LOCK}\n`);
}

/** In plain JavaScript: it says what it hears. */
function farScript(kind: string, port: number, host: string): string {
  const ping = kind === 'websocket' ? '' : '{"action":"ping"}\n';
  return `
    const socket = require('node:net').connect(${port}, '${host}');
    socket.write(Buffer.from('${opening(kind).toString('hex')}', 'hex'));
    setInterval(() => socket.write(${JSON.stringify(ping)}), ${HEARTBEAT_MS / 3});
    socket.on('data', (bytes) => process.stdout.write(bytes));
  `;
}

async function main([kind = '', namespace = '', host = '']: readonly string[]): Promise<void> {
  const server = new Server({ port: 0, host });
  await server.listen();
  const { port } = server.address;
  const args = ['netns', 'exec', namespace, process.execPath, '-e', farScript(kind, port, host)];
  const far = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let heard = '';
  while (!heard.includes('"acquired"')) heard += (await once(far.stdout, 'data'))[0];

  const waiter = connect({ port, host });
  const replies = createInterface({ input: waiter })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => JSON.parse((await replies.next()).value ?? '{}').state;
  waiter.write(`${LOCK}\n`);
  assert.equal(await next(), 'enqueued');
  const from = performance.now();
  execFileSync('ip', ['link', 'set', 'near', 'down']);
  assert.equal(await next(), 'acquired');
  process.stdout.write(`${(performance.now() - from).toFixed(0)}\n`);
  far.kill('SIGKILL');
  await once(far, 'close');
  process.exit();
}

await main(process.argv.slice(2));
