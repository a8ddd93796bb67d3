/** A name to listen on may have several addresses: all of them are listened on, with one port. */
import assert from 'node:assert/strict';
import { promises as dns } from 'node:dns';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Server } from '../../../src/server.ts';
import { LineClient } from '../../support/line-client.ts';
import { ownPort } from '../../support/ports.ts';
import { startServer } from '../../support/running-server.ts';

/** From here on every name has these addresses. */
function resolveTo(t: TestContext, ...addresses: string[]): void {
  const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  t.mock.method(dns, 'lookup', async () => found);
}

async function assertServes(t: TestContext, port: number, host: string): Promise<void> {
  const client = LineClient.on(t, connect(port, host));
  assert.equal((await client.ask({ action: 'ping' })).action, 'ping', host);
}

test('all addresses of a name are listened on, each once, with the same port', async (t) => {
  resolveTo(t, '::1', '127.0.0.1', '127.0.0.2', '127.0.0.1');
  const server = await startServer(t, { host: 'localhost', port: 0 });
  const { port } = server.address;
  const names = [`[::1]:${port}`, `127.0.0.1:${port}`, `127.0.0.2:${port}`];
  assert.deepEqual(server.addresses, names);
  for (const host of ['::1', '127.0.0.1', '127.0.0.2']) await assertServes(t, port, host);
  assert.equal(server.counts.connections, 3);
});

test('addresses of a name that this machine does not have are passed over', async (t) => {
  resolveTo(t, '240.0.0.1', '127.0.0.1');
  const server = await startServer(t, { host: 'shop.example', port: 0 });
  assert.deepEqual(server.addresses, [`127.0.0.1:${server.address.port}`]);
});

test('a name without any address of this machine is refused', async (t) => {
  resolveTo(t, '240.0.0.1', '240.0.0.2');
  const nowhere = new Server({ host: 'shop.example', port: 0 });
  await assert.rejects(nowhere.listen(), { code: 'EADDRNOTAVAIL', address: '240.0.0.1' });
});

test('when another program has the port at one of the addresses, none is listened on', async (t) => {
  const port = await ownPort();
  const other = createServer().listen(port, '127.0.0.2');
  t.after(() => other.close());
  await once(other, 'listening');
  resolveTo(t, '127.0.0.1', '127.0.0.2');
  const server = new Server({ host: 'localhost', port });
  await assert.rejects(server.listen(), { code: 'EADDRINUSE', address: '127.0.0.2' });
  const free = createServer().listen(port, '127.0.0.1');
  await once(free, 'listening');
  free.close();
});

test('when no port is free at all addresses, it gives up in the end', async (t) => {
  resolveTo(t, '127.0.0.1', '0.0.0.0');
  const server = new Server({ host: 'localhost', port: 0 });
  await assert.rejects(server.listen(), { code: 'EADDRINUSE' });
});
