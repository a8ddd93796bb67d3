/** Web pages reach servers on their visitor's machine: which of them may, by Host and Origin. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServerOptions } from '../../src/server.ts';
import { bodyOf, exchange, statuses } from '../support/http-client.ts';
import { handshake, LeanWebSocket } from '../support/lean-websocket.ts';
import { startServer } from '../support/running-server.ts';

/** The answer to a request for a page with those header lines. */
function get(port: number, ...headers: string[]): Promise<string> {
  const lines = headers.map((header) => `${header}\r\n`).join('');
  return exchange(port, `GET / HTTP/1.1\r\n${lines}Connection: close\r\n\r\n`);
}

interface Case {
  readonly options: ServerOptions;
  readonly headers: readonly string[];
  readonly status: number;
}

const SHOP = 'https://shop.example';
const LISTED = { allowedOrigins: [SHOP, 'http://localhost:3000'] };
const ANY_ORIGIN = { allowedOrigins: ['*'] };
const NAMED = { allowedHosts: ['locks.internal'] };
const EVERYWHERE = { host: '0.0.0.0' };

const CASES: readonly [string, Case][] = [
  ['no Origin', { options: {}, headers: ['Host: localhost'], status: 200 }],
  [
    'a page of another site',
    { options: {}, headers: ['Host: localhost', 'Origin: http://evil.example'], status: 403 },
  ],
  [
    'a page on another port',
    {
      options: {},
      headers: ['Host: localhost:9009', 'Origin: http://localhost:3000'],
      status: 403,
    },
  ],
  ['the origin null', { options: {}, headers: ['Host: localhost', 'Origin: null'], status: 403 }],
  ['an empty origin', { options: {}, headers: ['Host: localhost', 'Origin:'], status: 403 }],
  [
    'an origin that is none',
    { options: {}, headers: ['Host: localhost', 'Origin: %%%'], status: 403 },
  ],
  [
    'its own page',
    {
      options: {},
      headers: ['Host: localhost:9009', 'Origin: http://localhost:9009'],
      status: 200,
    },
  ],
  [
    'its own page behind TLS',
    { options: {}, headers: ['Host: localhost', 'Origin: https://localhost'], status: 200 },
  ],
  [
    'a listed origin',
    { options: LISTED, headers: ['Host: localhost', `Origin: ${SHOP}`], status: 200 },
  ],
  [
    'another listed origin',
    { options: LISTED, headers: ['Host: localhost', 'Origin: http://localhost:3000'], status: 200 },
  ],
  [
    'a listed name with another scheme',
    { options: LISTED, headers: ['Host: localhost', 'Origin: http://shop.example'], status: 403 },
  ],
  [
    'a name that begins like a listed one',
    { options: LISTED, headers: ['Host: localhost', `Origin: ${SHOP}.evil.example`], status: 403 },
  ],
  [
    'a listed name with a port',
    { options: LISTED, headers: ['Host: localhost', `Origin: ${SHOP}:444`], status: 403 },
  ],
  [
    'null when others are listed',
    { options: LISTED, headers: ['Host: localhost', 'Origin: null'], status: 403 },
  ],
  [
    'null when it is listed',
    {
      options: { allowedOrigins: ['null'] },
      headers: ['Host: localhost', 'Origin: null'],
      status: 200,
    },
  ],
  [
    'any origin with *',
    {
      options: ANY_ORIGIN,
      headers: ['Host: localhost', 'Origin: http://evil.example'],
      status: 200,
    },
  ],
  [
    'null with *',
    { options: ANY_ORIGIN, headers: ['Host: localhost', 'Origin: null'], status: 200 },
  ],
  [
    'a rebound name',
    { options: {}, headers: ['Host: evil.com', 'Origin: http://evil.com'], status: 403 },
  ],
  ['a rebound name without Origin', { options: {}, headers: ['Host: evil.com:9009'], status: 403 }],
  [
    'a rebound name when any origin may',
    { options: ANY_ORIGIN, headers: ['Host: evil.com', 'Origin: http://evil.com'], status: 403 },
  ],
  [
    'a name that begins with localhost',
    { options: {}, headers: ['Host: localhost.evil.com'], status: 403 },
  ],
  [
    'a name that begins like an address',
    { options: {}, headers: ['Host: 127.0.0.1.evil.com'], status: 403 },
  ],
  ['an empty Host', { options: {}, headers: ['Host:'], status: 403 }],
  ['localhost in capitals', { options: {}, headers: ['Host: LocalHost:9009'], status: 200 }],
  ['127.0.0.1', { options: {}, headers: ['Host: 127.0.0.1:9009'], status: 200 }],
  ['another loopback address', { options: {}, headers: ['Host: 127.9.0.2:9009'], status: 200 }],
  ['IPv6 with a port', { options: {}, headers: ['Host: [::1]:9009'], status: 200 }],
  ['IPv6 without a port', { options: {}, headers: ['Host: [::1]'], status: 200 }],
  ['another IPv6 address', { options: {}, headers: ['Host: [2001:db8::1]:9009'], status: 403 }],
  ['IPv6 without brackets', { options: {}, headers: ['Host: ::1'], status: 403 }],
  [
    'a name that was allowed',
    { options: NAMED, headers: ['Host: locks.internal:80'], status: 200 },
  ],
  ['another name than the allowed', { options: NAMED, headers: ['Host: evil.com'], status: 403 }],
  ['any name with *', { options: { allowedHosts: ['*'] }, headers: ['Host: x.y'], status: 200 }],
  [
    'any name when bound to all addresses',
    { options: EVERYWHERE, headers: ['Host: locks.example'], status: 200 },
  ],
  [
    'a foreign page when bound to all addresses',
    {
      options: EVERYWHERE,
      headers: ['Host: locks.example', 'Origin: http://evil.example'],
      status: 403,
    },
  ],
];

for (const [who, { options, headers, status }] of CASES) {
  test(`${who} is ${status === 200 ? 'let in' : 'turned away'}, page and WebSocket alike`, async (t) => {
    const server = await startServer(t, options);
    const { port } = server.address;
    const page = await get(port, ...headers);
    assert.deepEqual(statuses(page), [status]);

    if (status === 403) {
      const answer = await exchange(port, handshake('/v1?namespace=a', ...headers));
      assert.deepEqual(statuses(answer), [403]);
      assert.equal(bodyOf(answer), bodyOf(page));
      assert.equal(server.counts.sessions, 0);
    } else {
      await LeanWebSocket.connect(t, port, '/v1?namespace=a', ...headers);
      assert.equal(server.counts.sessions, 1);
    }
  });
}

test('who is turned away hears what would let him in', async (t) => {
  const server = await startServer(t);
  const { port } = server.address;
  const page = await get(port, 'Host: localhost', 'Origin: http://evil.example');
  assert.match(
    bodyOf(page),
    /^Pages from "http:\/\/evil\.example" may not connect\..*--allow-origin/,
  );
  const name = await get(port, 'Host: Evil.com:80');
  assert.match(
    bodyOf(name),
    /^This server is not known as "evil\.com"\..*--allow-host "evil\.com"/,
  );
  const long = await get(port, 'Host: localhost', `Origin: http://${'x'.repeat(1000)}`);
  assert.ok(bodyOf(long).length < 500);
});
