/** Web pages reach servers on their visitor's machine: which of them may, by Host and Origin. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostFault, originFault } from '../../../src/net/http/origin-policy.ts';
import type { ServerOptions } from '../../../src/server-options.ts';
import { bodyOf, exchange, statuses } from '../../support/http-client.ts';
import { startServer } from '../../support/running-server.ts';
import { handshake, WebSocketClient } from '../../support/websocket-client.ts';

/** The answer to a request for a page with those header lines. */
function get(port: number, ...headers: string[]): Promise<string> {
  const lines = headers.map((header) => `${header}\r\n`).join('');
  return exchange(port, `GET / HTTP/1.1\r\n${lines}Connection: close\r\n\r\n`);
}

type Case = readonly [
  who: string,
  host: string,
  origin: string | undefined,
  status: 200 | 400 | 403,
  options?: ServerOptions,
];

const SHOP = 'https://shop.example';
const LISTED = { allowedOrigins: [SHOP, 'http://localhost:3000'] };
const ANY_ORIGIN = { allowedOrigins: ['*'] };
const NAMED = { allowedHosts: ['locks.internal'] };
const NAMED_WITH_PORT = { allowedHosts: ['Locks.internal:9009'] };
const NAMED_BY_IPV6 = { allowedHosts: ['[2001:db8::1]'] };
const WRITTEN = { allowedOrigins: ['https://Shop.Example/'] };
const EVERYWHERE = { host: '0.0.0.0' };
const NAMED_EVERYWHERE = { ...NAMED, ...EVERYWHERE };
const WITH_PORT = { allowedOrigins: [`${SHOP}:443`] };

const CASES: readonly Case[] = [
  ['no Origin', 'localhost', undefined, 200],
  ['a page of another site', 'localhost', 'http://evil.example', 403],
  ['a page on another port', 'localhost:9009', 'http://localhost:3000', 403],
  ['the origin null', 'localhost', 'null', 403],
  ['an empty origin', 'localhost', '', 403],
  ['an origin that is none', 'localhost', '%%%', 403],
  ['its own page', 'localhost:9009', 'http://localhost:9009', 200],
  ['its own page behind TLS', 'localhost', 'https://localhost', 200],
  ['a listed origin', 'localhost', SHOP, 200, LISTED],
  ['another listed origin', 'localhost', 'http://localhost:3000', 200, LISTED],
  ['a listed name with another scheme', 'localhost', 'http://shop.example', 403, LISTED],
  ['a name that begins like a listed one', 'localhost', `${SHOP}.evil.example`, 403, LISTED],
  ['a listed name with a port', 'localhost', `${SHOP}:444`, 403, LISTED],
  ['null when others are listed', 'localhost', 'null', 403, LISTED],
  ['null when it is listed', 'localhost', 'null', 200, { allowedOrigins: ['null'] }],
  ['file:// when it is listed', 'localhost', 'file://', 200, { allowedOrigins: ['file://'] }],
  ['any origin with *', 'localhost', 'http://evil.example', 200, ANY_ORIGIN],
  ['null with *', 'localhost', 'null', 200, ANY_ORIGIN],
  ['a name with more behind its port', 'localhost:9009.evil.com', undefined, 400],
  ['a rebound name', 'evil.com', 'http://evil.com', 403],
  ['a rebound name without Origin', 'evil.com:9009', undefined, 403],
  ['a rebound name when any origin may', 'evil.com', 'http://evil.com', 403, ANY_ORIGIN],
  ['a name that begins with localhost', 'localhost.evil.com', undefined, 403],
  ['a name that begins like an address', '127.0.0.1.evil.com', undefined, 403],
  ['an empty Host', '', undefined, 400],
  ['a name before another', 'localhost@evil', undefined, 400],
  ['two names', 'localhost, evil', undefined, 400],
  ['two names without a blank', 'localhost,evil', undefined, 400],
  ['any name at all', '*', undefined, 400],
  ['an address as nobody allows it', '127.1', undefined, 400],
  ['no name where names are given', 'a b', undefined, 400, NAMED_EVERYWHERE],
  ['localhost in capitals', 'LocalHost:9009', undefined, 200],
  ['127.0.0.1', '127.0.0.1:9009', undefined, 200],
  ['another loopback address', '127.9.0.2:9009', undefined, 200],
  ['IPv6 with a port', '[::1]:9009', undefined, 200],
  ['IPv6 without a port', '[::1]', undefined, 200],
  ['another IPv6 address', '[2001:db8::1]:9009', undefined, 403],
  ['IPv6 without brackets', '::1', undefined, 400],
  ['a name that was allowed', 'locks.internal:80', undefined, 200, NAMED],
  ['another name than the allowed', 'evil.com', undefined, 403, NAMED],
  ['a name that was allowed in capitals', 'LOCKS.internal', undefined, 200, NAMED],
  ['a name that was allowed with a port', 'locks.internal:80', undefined, 200, NAMED_WITH_PORT],
  ['an IPv6 address that was allowed', '[2001:db8::1]:9009', undefined, 200, NAMED_BY_IPV6],
  ['a name below the allowed', 'x.locks.internal', undefined, 403, NAMED],
  ['localhost with a dot behind', 'localhost.', undefined, 403],
  ['a listed origin at a rebound name', 'evil.com', SHOP, 403, LISTED],
  ['an origin listed as people write it', 'localhost', SHOP, 200, WRITTEN],
  ['an origin in capitals', 'localhost', 'HTTPS://SHOP.EXAMPLE', 200, LISTED],
  ['a listed origin with the default port', 'localhost', `${SHOP}:443`, 200, LISTED],
  ['an origin listed with its default port', 'localhost', SHOP, 200, WITH_PORT],
  ['the default port of the other scheme', 'localhost', `${SHOP}:80`, 403, LISTED],
  ['its own page where Host has the default port', 'localhost:80', 'http://localhost', 200],
  ['its own page behind TLS, the same', 'localhost:443', 'https://localhost', 200],
  ['its own page where Origin has it', 'localhost', 'http://localhost:80', 200],
  ['a name not allowed when bound to all', 'evil.com', undefined, 403, NAMED_EVERYWHERE],
  ['a name allowed when bound to all', 'locks.internal', undefined, 200, NAMED_EVERYWHERE],
  ['two origins in one', 'localhost', `${SHOP}, ${SHOP}`, 403, LISTED],
  ['a page of this server under its other name', '127.0.0.1', 'http://localhost', 403],
  ['any name with *', 'x.y', undefined, 200, { allowedHosts: ['*'] }],
  ['any name when bound to all addresses', 'locks.example', undefined, 200, EVERYWHERE],
  [
    'a foreign page when bound to all addresses',
    'locks.example',
    'http://evil.example',
    403,
    EVERYWHERE,
  ],
];

for (const [who, host, origin, status, options] of CASES) {
  const headers = [`Host: ${host}`, ...(origin === undefined ? [] : [`Origin: ${origin}`])];
  test(`${who} is ${status === 200 ? 'let in' : 'turned away'}, page and WebSocket alike`, async (t) => {
    const server = await startServer(t, options);
    const { port } = server.address;
    const page = await get(port, ...headers);
    assert.deepEqual(statuses(page), [status]);

    if (status !== 200) {
      const answer = await exchange(port, handshake('/v1?namespace=a', ...headers));
      assert.deepEqual(statuses(answer), [status]);
      assert.equal(bodyOf(answer), bodyOf(page));
      assert.equal(bodyOf(page).includes('--allow-'), status === 403);
      assert.equal(server.counts.sessions, 0);
    } else {
      await WebSocketClient.connect(t, port, '/v1?namespace=a', ...headers);
      assert.equal(server.counts.sessions, 1);
    }
  });
}

test('whatever a foreign page asks for, it is turned away', async (t) => {
  const { address } = await startServer(t);
  const headers = ['Host: localhost', 'Origin: http://evil.example'].join('\r\n');
  const body = '{"action":"lock","resources":[{"type":"write","path":[]}]}\n';
  const post = `POST / HTTP/1.1\r\n${headers}\r\nContent-Type: text/plain\r\nConnection: close\r\n`;
  const requests = [
    `${post}Content-Length: ${body.length}\r\n\r\n${body}`,
    `GET /nothing HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n`,
    `OPTIONS /v2 HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n`,
    `CONNECT /v2 HTTP/1.1\r\n${headers}\r\n\r\n`,
    handshake('/v2', 'Origin: http://evil.example'),
    handshake('/nothing', 'Origin: http://evil.example'),
    // node:http joins the two to one that is not known.
    handshake('/v2', 'Origin: http://localhost', 'Origin: http://evil.example'),
  ];
  for (const request of requests) {
    const answer = await exchange(address.port, request);
    assert.deepEqual(statuses(answer), [403], request);
    assert.doesNotMatch(answer, /access-control/i);
  }
});

test('what a page is made to post is no session, whichever way it looks', async (t) => {
  const server = await startServer(t);
  const good = '{"action":"lock","resources":[{"type":"write","path":[]}]}';
  for (const first of [
    'POST / HTTP/1.1',
    '\x16\x03\x01',
    'x=1',
    '------WebKitFormBoundary',
    '[]',
  ]) {
    const said = await exchange(server.address.port, `${first}\r\n${good}\r\n\r\n${good}\n`);
    assert.doesNotMatch(said, /"id"/, first);
  }
  assert.equal(server.counts.acquired, 0);
});

test('who is turned away hears what would let him in', async (t) => {
  const server = await startServer(t);
  const { port } = server.address;
  const page = await get(port, 'Host: localhost', 'Origin: http://evil.example');
  assert.match(bodyOf(page), /^Origin "http:\/\/evil\.example" is not allowed\..*--allow-origin/);
  const name = await get(port, 'Host: Evil.com:80');
  assert.match(bodyOf(name), /^Host "evil\.com" is not allowed\..*--allow-host "evil\.com"/);
  const long = await get(port, 'Host: localhost', `Origin: http://${'x'.repeat(1000)}`);
  assert.ok(bodyOf(long).length < 500);
});

test('what no page and no request could ever say is no origin and no name to be allowed', () => {
  const origins = [
    '*',
    'null',
    'file://',
    'http://a',
    'https://Shop.Example/',
    'http://[::1]:3000',
  ];
  for (const good of [...origins, 'https://xn--bcher-kva.example', 'chrome-extension://abcdef']) {
    assert.equal(originFault(good), undefined, good);
  }
  for (const [bad, example] of [
    ['foo', 'https://shop.example'],
    ['shop.example', 'https://shop.example'],
    ['shop.example:443', 'https://shop.example'],
    ['https://', 'https://shop.example'],
    ['https://*.shop.example', 'https://shop.example'],
    [' https://a', 'https://a'],
    ['https://a:443/x', 'https://a'],
    ['http://a/page', 'http://a'],
    ['http://user@a', 'http://a'],
    ['https://bücher.example', 'https://xn--bcher-kva.example'],
  ] as const) {
    assert.match(
      originFault(bad) ?? '',
      new RegExp(`^must be an origin as browsers write it, such as ${example}, not "`),
      bad,
    );
  }
  for (const good of ['*', 'a', 'Shop.Example:9009', 'a_b.internal', '192.0.2.1', '[FD00::1]:80']) {
    assert.equal(hostFault(good), undefined, good);
  }
  for (const bad of [
    'http://a',
    'a/',
    'a b',
    'u@a',
    '*.a',
    'a:b',
    '::1',
    'bücher.example',
    ':80',
  ]) {
    assert.match(hostFault(bad) ?? '', /^must be a name or an address as in a URL, such as /, bad);
  }
});
