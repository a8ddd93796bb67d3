/**
 * nginx and HAProxy really in front of a server: idle WebSockets outlive the proxy's idle timeout, and
 * no client is an administrator for the proxy's address. Skipped where one isn't installed; in CI both
 * must be.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import { ask } from '../support/http-client.ts';
import { LineClient, lock, write } from '../support/line-client.ts';
import { startServer } from '../support/running-server.ts';

/** Seconds of silence in one direction after which the proxy cuts a connection. */
const CUT_AFTER_S = 2;
const PING_INTERVAL_MS = 500;
/** Answered pings in a row: for longer than the proxy lets a connection be silent. */
const PINGS = 6;

interface Proxy {
  readonly command: string;
  readonly args: (folder: string, config: string) => string[];
  readonly config: (folder: string, port: number, behind: number) => string;
}

const NGINX: Proxy = {
  command: 'nginx',
  args: (folder, config) => ['-p', folder, '-e', 'stderr', '-c', config],
  config: (folder, port, behind) => `daemon off; master_process off; pid ${folder}/pid;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/1; proxy_temp_path ${folder}/2; fastcgi_temp_path ${folder}/3;
  uwsgi_temp_path ${folder}/4; scgi_temp_path ${folder}/5;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://127.0.0.1:${behind};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_read_timeout ${CUT_AFTER_S}s;
      proxy_send_timeout ${CUT_AFTER_S}s;
    }
  }
}
`,
};

const HAPROXY: Proxy = {
  command: 'haproxy',
  args: (_folder, config) => ['-db', '-f', config],
  config: (_folder, port, behind) => `defaults
  mode http
  option forwardfor
  timeout connect 5s
  timeout client ${CUT_AFTER_S}s
  timeout server ${CUT_AFTER_S}s
  timeout tunnel ${CUT_AFTER_S}s
listen locktopus
  bind 127.0.0.1:${port}
  server one 127.0.0.1:${behind}
`,
};

/** A port of the loopback address that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  const isOpen = await new Promise<boolean>((resolve) => {
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
  });
  socket.destroy();
  return isOpen;
}

/** Starts `proxy` in front of `behind`; ended with the test. Returns its port. */
async function startProxy(t: TestContext, proxy: Proxy, behind: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'locktopus-proxy-'));
  const port = await freePort();
  const config = join(folder, 'config');
  writeFileSync(config, proxy.config(folder, port, behind));
  const child = spawn(proxy.command, proxy.args(folder, config), {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const closed = once(child, 'close');
  t.after(async () => {
    child.kill('SIGKILL');
    await closed;
    rmSync(folder, { recursive: true });
  });
  while (!(await accepts(port))) assert.equal(child.exitCode, null, said);
  return port;
}

/** Why a test with `proxy` is skipped; in CI none is, and fails where it can't be started. */
function skipOf({ command }: Proxy): string | false {
  const isInstalled = spawnSync(command, ['-v']).status === 0;
  return !isInstalled && process.env.CI === undefined && `${command} is not installed`;
}

for (const proxy of [NGINX, HAPROXY]) {
  const { command } = proxy;
  const skip = skipOf(proxy);

  test(`${command}: an idle WebSocket outlives the idle timeout of the proxy`, {
    skip,
  }, async (t) => {
    const server = await startServer(t, { pingIntervalMs: PING_INTERVAL_MS });
    const port = await startProxy(t, proxy, server.address.port);
    const outlives = async (path: string): Promise<void> => {
      const holder = new WebSocket(`ws://127.0.0.1:${port}${path}`);
      t.after(() => holder.terminate());
      await once(holder, 'open');
      holder.send(JSON.stringify(lock(write('a'))));
      await once(holder, 'message');
      const cut = once(holder, 'close').then(() => assert.fail(`${path} was cut`));
      cut.catch(() => {}); // raced below
      for (let i = 0; i < PINGS; i++) await Promise.race([once(holder, 'ping'), cut]);
      assert.equal(holder.readyState, WebSocket.OPEN);
    };
    await Promise.all(['/v1?namespace=a', '/v2'].map(outlives));
  });

  // What the client claims of itself counts, too, but here the proxy has to say it.
  test(`${command}: who comes through it is no administrator, by what the proxy adds`, {
    skip,
  }, async (t) => {
    const { server, port, reply } = await evictThrough(t, proxy);
    assert.equal(reply.error.code, 'forbidden');
    assert.equal(server.counts.acquired, 1);
    assert.equal((await ask(port, '/livez')).status, 200);
  });
}

test('nginx: who comes through one that says nothing of its clients is local, as SECURITY.md warns', {
  skip: skipOf(NGINX),
}, async (t) => {
  const config = (...where: Parameters<Proxy['config']>): string =>
    NGINX.config(...where).replace(/^ *proxy_set_header X-Forwarded-For .*\n/m, '');
  const { server, reply } = await evictThrough(t, { ...NGINX, config });
  assert.equal(reply.locks, 1);
  assert.equal(server.counts.acquired, 0);
});

/** Has a client behind `proxy`, which says nothing of itself, evict the lock of another. */
async function evictThrough(t: TestContext, proxy: Proxy) {
  const server = await startServer(t);
  const port = await startProxy(t, proxy, server.address.port);
  const near = await LineClient.connect(t, server.address.port);
  const { id } = await near.ask(lock(write('a')));
  const client = new WebSocket(`ws://127.0.0.1:${port}/v2`);
  t.after(() => client.terminate());
  await once(client, 'open');
  client.send(JSON.stringify({ action: 'evict', id }));
  const [message] = await once(client, 'message');
  return { server, port, reply: JSON.parse(String(message)) };
}
