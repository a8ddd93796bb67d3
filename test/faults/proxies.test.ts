/**
 * nginx and HAProxy really in front of a server, with the files of `.deploy`: idle WebSockets outlive the proxy's idle timeout, and
 * no client is an administrator for the proxy's address. Skipped where one isn't installed; in CI both
 * must be.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import { makeCertificate } from '../support/certificates.ts';
import { LineClient, lock, write } from '../support/line-client.ts';
import { ownPort } from '../support/ports.ts';
import { documentOf } from '../support/readme.ts';
import { startServer } from '../support/running-server.ts';

/** Seconds of silence in one direction after which the proxy cuts a connection. */
const CUT_AFTER_S = 2;
const PING_INTERVAL_MS = 500;
/** Answered pings in a row: for longer than the proxy lets a connection be silent. */
const PINGS = 6;

/** The name by which the files of `.deploy` address the server. */
const NAME = 'locks.example';

interface Proxy {
  readonly command: string;
  /** The file of `.deploy`, as an operator gets it. */
  readonly file: string;
  /** What a test has to change in it: each pattern occurs. */
  readonly changes: (port: number, behind: number, certificate: Certificate) => [RegExp, string][];
  readonly args: (folder: string, config: string) => string[];
  /** The rest of a whole configuration around it. */
  readonly around: (folder: string, config: string) => string;
}

const NGINX: Proxy = {
  command: 'nginx',
  file: '.deploy/nginx.conf',
  changes: (port, behind, { certFile, keyFile }) => [
    [/listen 443 ssl;/g, `listen 127.0.0.1:${port} ssl;`],
    [/127\.0\.0\.1:9009/g, `127.0.0.1:${behind}`],
    [/\/etc\/ssl\/locks\.example\.crt/g, certFile],
    [/\/etc\/ssl\/locks\.example\.key/g, keyFile],
    [/(proxy_(?:read|send)_timeout) 60s/g, `$1 ${CUT_AFTER_S}s`],
  ],
  args: (folder, config) => ['-p', folder, '-e', 'stderr', '-c', config],
  around: (folder, config) => `daemon off; master_process off; pid ${folder}/pid;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/1; proxy_temp_path ${folder}/2; fastcgi_temp_path ${folder}/3;
  uwsgi_temp_path ${folder}/4; scgi_temp_path ${folder}/5;
${config}
}
`,
};

const HAPROXY: Proxy = {
  command: 'haproxy',
  file: '.deploy/haproxy.cfg',
  changes: (port, behind, { pemFile }) => [
    [/bind :443/g, `bind 127.0.0.1:${port}`],
    [/127\.0\.0\.1:9009/g, `127.0.0.1:${behind}`],
    [/\/etc\/haproxy\/locks\.example\.pem/g, pemFile],
    [/(timeout (?:client|server|tunnel)) 60s/g, `$1 ${CUT_AFTER_S}s`],
  ],
  args: (_folder, config) => ['-db', '-f', config],
  around: (_folder, config) => config,
};

type Certificate = Readonly<Record<'certFile' | 'keyFile' | 'pemFile', string>>;

/** The configuration of `.deploy`, for a server and a certificate of this test. */
function configOf(proxy: Proxy, folder: string, port: number, behind: number): string {
  const made = makeCertificate(folder, 'localhost');
  const pemFile = join(folder, 'both.pem');
  writeFileSync(pemFile, Buffer.concat([made.cert, made.key]));
  let config = documentOf(proxy.file);
  for (const [pattern, text] of proxy.changes(port, behind, { ...made, pemFile })) {
    const changed = config.replace(pattern, text);
    assert.notEqual(changed, config, `${proxy.file} has ${pattern}`);
    config = changed;
  }
  return proxy.around(folder, config);
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  const isOpen = await new Promise<boolean>((resolve) => {
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
  });
  socket.destroy();
  return isOpen;
}

/**
 * Starts `proxy` in front of `behind`; ended with the test. Returns its port.
 *
 * @param edit changes the configuration
 */
async function startProxy(
  t: TestContext,
  proxy: Proxy,
  behind: number,
  edit: (config: string) => string = (config) => config,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'locktopus-proxy-'));
  const port = await ownPort();
  const config = join(folder, 'config');
  writeFileSync(config, edit(configOf(proxy, folder, port, behind)));
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
    const allowedHosts = [NAME];
    const server = await startServer(t, { pingIntervalMs: PING_INTERVAL_MS, allowedHosts });
    const port = await startProxy(t, proxy, server.address.port);
    const outlives = async (path: string): Promise<void> => {
      const holder = connectThrough(t, port, path);
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
    const { server, reply } = await evictThrough(t, proxy);
    assert.equal(reply.error.code, 'forbidden');
    assert.equal(server.counts.acquired, 1);
  });
}

test('nginx: who comes through one that says nothing of its clients is local, as SECURITY.md warns', {
  skip: skipOf(NGINX),
}, async (t) => {
  const edit = (config: string): string =>
    config.replace(/^ *proxy_set_header X-Forwarded-For .*\n/m, '');
  const { server, reply } = await evictThrough(t, NGINX, edit);
  assert.equal(reply.locks, 1);
  assert.equal(server.counts.acquired, 0);
});

/** A WebSocket by the proxy, which is addressed by its name, as a page that it serves opens one. */
function connectThrough(t: TestContext, port: number, path: string): WebSocket {
  const headers = { host: NAME, origin: `https://${NAME}` };
  const options = { headers, rejectUnauthorized: false };
  const socket = new WebSocket(`wss://127.0.0.1:${port}${path}`, options);
  t.after(() => socket.terminate());
  return socket;
}

/** Has a client behind `proxy`, which says nothing of itself, evict the lock of another. */
async function evictThrough(t: TestContext, proxy: Proxy, edit?: (config: string) => string) {
  const server = await startServer(t, { allowedHosts: [NAME] });
  const port = await startProxy(t, proxy, server.address.port, edit);
  const near = await LineClient.connect(t, server.address.port);
  const { id } = await near.ask(lock(write('a')));
  const client = connectThrough(t, port, '/v2');
  await once(client, 'open');
  client.send(JSON.stringify({ action: 'evict', id }));
  const [message] = await once(client, 'message');
  return { server, reply: JSON.parse(String(message)) };
}
