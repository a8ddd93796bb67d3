/** Programs that speak something else, or end their line with nothing, are told so at once. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { everyCut } from '../../support/cut-anywhere.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { RawClient } from '../../support/raw-client.ts';
import { startServer, until } from '../../support/running-server.ts';

const NEITHER = /neither HTTP nor a JSON object/;
const JSON_LINE = '{"action":"ping"}\n';

/** What clients of other protocols begin with, in Latin-1, and what they are told. */
const GREETINGS: readonly (readonly [what: string, bytes: string, told: RegExp])[] = [
  ['TLS 1.0', '\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03', /TLS.* without TLS.*--tls-cert/],
  ['TLS 1.2', '\x16\x03\x03\x00\xc4\x01', /TLS/],
  ['SSL 2', '\x80\x2e\x01\x00\x02\x00\x15', NEITHER],
  ['SOCKS 4', '\x04\x01\x00\x50\x7f\x00\x00\x01\x00', /SOCKS/],
  ['SOCKS 5', '\x05\x01\x00', /SOCKS/],
  ['SOCKS 5 with a password', '\x05\x02\x00\x02', /SOCKS/],
  ['PROXY 1', 'PROXY TCP4 10.0.0.1 10.0.0.2 5 6\r\n', /PROXY protocol/],
  ['PROXY 2', '\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c', /PROXY protocol/],
  ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n', /SSH/],
  ['telnet DO', '\xff\xfd\x03\xff\xfb\x18', /telnet/],
  ['telnet WILL', '\xff\xfb\x03', /telnet/],
  ['telnet WONT', '\xff\xfc\x03', /telnet/],
  ['telnet DONT', '\xff\xfe\x03', /telnet/],
  ['SMTP', 'EHLO mail.example\r\n', /SMTP/],
  ['old SMTP', 'HELO mail.example\r\n', /SMTP/],
  ['LMTP', 'LHLO mail.example\r\n', NEITHER],
  ['Redis', '*1\r\n$4\r\nPING\r\n', /Redis/],
  ['Redis in a line', 'PING\r\n', NEITHER],
  ['memcached', 'stats\r\n', NEITHER],
  ['memcached get', 'get key\r\n', /capitals/],
  ['memcached in binary', '\x80\x0b\x00\x00', NEITHER],
  ['PostgreSQL with TLS', '\0\0\0\x08\x04\xd2\x16\x2f', /database/],
  ['PostgreSQL', '\0\0\0\x29\0\x03\0\0user\0me\0', /database/],
  ['MySQL', '\x20\0\0\x01\x85\xa6\xff\x01', NEITHER],
  ['SQL Server', '\x12\x01\x00\x2f\0\0\x01', NEITHER],
  ['Oracle', '\0\x3a\0\0\x01\0', NEITHER],
  ['MongoDB', '\x3a\0\0\0\x01\0\0\0', NEITHER],
  ['Cassandra', '\x04\0\0\0\x05', NEITHER],
  ['Kafka', '\0\0\0\x23\0\x12\0\0', /database/],
  ['ZooKeeper', 'ruok', NEITHER],
  ['AMQP', 'AMQP\0\0\x09\x01', /AMQP/],
  ['MQTT', '\x10\x0c\x00\x04MQTT\x04\x02\0\x3c', /MQTT/],
  ['STOMP', 'CONNECT\naccept-version:1.2\n\n\0', NEITHER],
  ['LDAP', '\x30\x0c\x02\x01\x01\x60\x07', NEITHER],
  ['RDP', '\x03\0\0\x13\x0e\xe0', NEITHER],
  ['X11', 'l\0\x0b\0\0\0', NEITHER],
  ['VNC', 'RFB 003.008\n', NEITHER],
  ['BitTorrent', '\x13BitTorrent protocol', NEITHER],
  ['git', '0032git-upload-pack /a', NEITHER],
  ['rsync', '@RSYNCD: 31.0\n', NEITHER],
  ['IRC', 'NICK me\r\n', NEITHER],
  ['FTP', 'USER me\r\n', NEITHER],
  ['IMAP', 'a1 CAPABILITY\r\n', NEITHER],
  ['SIP', 'REGISTER sip:example SIP/2.0\r\n', NEITHER],
  ['XMPP', '<?xml version="1.0"?>', NEITHER],
  ['Java RMI', 'JRMI\0\x02\x4b', NEITHER],
  ['Thrift', '\x80\x01\0\x01', NEITHER],
  ['protobuf', '\x0a\x05hello', NEITHER],
  ['an answer of HTTP', 'HTTP/1.1 200 OK\r\n', /answer to an HTTP request/],
  ['HTTP in small letters', 'post / http/1.1\r\n', /capitals/],
  ['HTTP without a target', 'GET\r\n\r\n', NEITHER],
  ['a byte order mark', `\xef\xbb\xbf${JSON_LINE}`, /byte order mark/],
  ['a byte order mark behind a blank line', `\r\n\xef\xbb\xbf${JSON_LINE}`, /byte order mark/],
  ['UTF-16, little-endian', '\xff\xfe{\0', /UTF-16.* UTF-8/],
  ['UTF-16, big-endian', '\xfe\xff\0{', /UTF-16.* UTF-8/],
  ['a word', 'hello?', NEITHER],
  ['an array', '[1]', NEITHER],
  ['a string', '"lock"', NEITHER],
  ['a number', '17', NEITHER],
  ['a literal', 'true', NEITHER],
];

for (const [what, text, told] of GREETINGS) {
  test(`${what} is refused at once with a sentence, wherever it is cut`, async (t) => {
    const server = await startServer(t, { clock: new FakeClock() });
    const bytes = Buffer.from(text, 'latin1');
    for (const pieces of [[bytes], ...everyCut(bytes)]) {
      const client = new RawClient(server.address.port);
      for (const piece of pieces) if (!client.finished) await client.send(piece);
      // Time stands still: this ends by nothing but what was sent.
      await client.finish();
      const lines = client.received.toString().split('\n');
      assert.equal(lines.length, 2, 'one line');
      const { error } = JSON.parse(lines[0] ?? '') as { error: { code: string; message: string } };
      assert.equal(error.code, 'bad_json');
      assert.match(error.message, told);
      assert.match(error.message, /must begin with a JSON object, such as .*; closing it$/);
      await until(() => server.counts.connections === 0);
    }
    assert.equal(server.counts.sessions, 0);
  });
}

for (const [what, sent, replies] of [
  ['the first line', '{"action":"ping"}', []],
  ['a later line', `${JSON_LINE}{"action":"ping"}`, ['ping']],
  ['a line with a lone CR', `{"action":"ping"}\r`, []],
] as const) {
  test(`${what} without a line feed at the end of the input is told so`, async (t) => {
    const server = await startServer(t, { clock: new FakeClock() });
    const client = new RawClient(server.address.port);
    client.socket.end(sent);
    await client.until(() => client.closed);
    const told = client.received
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      told.slice(0, -1).map(({ action }) => action),
      replies,
    );
    assert.equal(told.at(-1).error.code, 'bad_json');
    assert.match(told.at(-1).error.message, /no line feed \(LF\) at its end.* not carried out/);
  });
}

test('blanks without a line feed at the end are nothing that is missed', async (t) => {
  const server = await startServer(t, { clock: new FakeClock() });
  const client = new RawClient(server.address.port);
  client.socket.end(`${JSON_LINE} \t\r`);
  await client.until(() => client.closed);
  assert.equal(client.received.toString(), '{"action":"ping"}\n');
});

test('half of what could become a request is told what is missing when the input ends', async (t) => {
  const server = await startServer(t, { clock: new FakeClock() });
  const client = new RawClient(server.address.port);
  client.socket.end('GE');
  await client.until(() => client.closed);
  assert.match(client.received.toString(), NEITHER);
});
