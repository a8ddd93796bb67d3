/** Where a server is, as people write it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseUrl } from '../../src/client/url.ts';

/** The addresses in short, and the namespace. */
function parsed(url: string): unknown[] {
  const { addresses, namespace } = parseUrl(url);
  return [
    ...addresses.map((address) => {
      if (address.kind === 'websocket') return address.url;
      if (address.kind === 'unix') return `unix ${address.path}`;
      return `${address.secure ? 'tls' : 'tcp'} ${address.host} ${address.port}`;
    }),
    namespace,
  ];
}

const GOOD: readonly [url: string, ...parsed: unknown[]][] = [
  ['locktopus://localhost', 'tcp localhost 9009', undefined],
  ['locktopus://localhost/', 'tcp localhost 9009', undefined],
  ['locktopus://localhost:7/shop', 'tcp localhost 7', 'shop'],
  ['locktopus://localhost?namespace=shop', 'tcp localhost 9009', 'shop'],
  ['locktopus://localhost/a%2Fb%20%C3%A4', 'tcp localhost 9009', 'a/b ä'],
  ['locktopuss://locks.example', 'tls locks.example 9009', undefined],
  [
    'locktopus://a,b:7,[::1],[fe80::1%25eth0]:8/n',
    'tcp a 9009',
    'tcp b 7',
    'tcp ::1 9009',
    'tcp fe80::1%eth0 8',
    'n',
  ],
  ['unix:/run/l.sock', 'unix /run/l.sock', undefined],
  ['unix:///run/l.sock', 'unix /run/l.sock', undefined],
  ['unix:l.sock?namespace=shop', 'unix l.sock', 'shop'],
  ['unix:/with%20blank?namespace=a%26b', 'unix /with blank', 'a&b'],
  ['ws://localhost:9009/shop', 'ws://localhost:9009/v2', 'shop'],
  ['wss://[::1]', 'wss://[::1]/v2', undefined],
  ['wss://a.example/locks/v2?namespace=shop', 'wss://a.example/locks/v2', 'shop'],
];

for (const [url, ...expected] of GOOD) {
  test(url, () => assert.deepEqual(parsed(url), expected));
}

const BAD: readonly [url: string, message: RegExp][] = [
  ['', /start it with locktopus:\/\//],
  ['localhost:9009', /start it with locktopus:\/\//],
  ['http://localhost', /start it with locktopus:\/\//],
  ['locktopus://', /an invalid host: ""/],
  ['locktopus://a,,b', /an invalid host: ""/],
  ['locktopus://::1', /"::1"; write an IPv6 address in brackets, as \[::1\]/],
  ['locktopus://a:b', /an invalid host: "a:b"/],
  ['locktopus://a:0', /an invalid port: 0 /],
  ['locktopus://a:65536', /an invalid port: 65536 /],
  ['locktopus://:secret@a', /pass it as the option token/],
  ['locktopus://a?token=secret', /an unknown parameter "token"/],
  ['http://secret@a?secret', /start it with/],
  ['locktopus://a/b/c', /write a slash in a namespace as %2F/],
  ['locktopus://a/%zz', /percent-encoding/],
  ['locktopus://a?namespcae=b', /an unknown parameter "namespcae": only namespace can stand/],
  ['locktopus://a?namespace=b&namespace=b', /more than one namespace: name one/],
  ['locktopus://a/b?namespace=c', /more than one namespace: name one/],
  ['wss://a/b?namespace=c', /more than one namespace: name one/],
  ['unix:a?namespace=b&namespace=c', /more than one namespace: name one/],
  ['locktopus://a#b', /has a fragment: leave out the # and what follows it/],
  ['unix:', /names no socket/],
  ['unix:?namespace=a', /names no socket/],
];

for (const [url, message] of BAD) {
  test(`refused: ${JSON.stringify(url)}`, () => {
    assert.throws(
      () => parseUrl(url),
      (error) => {
        assert.ok(error instanceof TypeError);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  });
}
