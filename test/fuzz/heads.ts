/** HTTP request heads: valid ones, and valid ones with one header or the request line broken. */
import type { Random } from '../support/random.ts';
import type { Vocabulary } from './messages.ts';
import { oddString } from './oddities.ts';

const METHODS = ['GET', 'GET', 'GET', 'HEAD', 'POST', 'OPTIONS', 'CONNECT', 'LOCK', 'PUT'];
const VERSIONS = [
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/2.0',
  'HTTP/0.9',
  'HTTP',
  '',
];
const PATHS = [
  '/',
  '/v1',
  '/v2',
  '/stats_v1',
  '/stats_v1?namespace=default',
  '/metrics',
  '/readyz',
  '/x',
  '*',
  '//',
  'http://localhost/v2',
  'http://',
  '/%',
  '/\u0001',
];
const HEADERS = [
  'Origin: null',
  'Origin: http://localhost',
  'Origin: %%%',
  'Content-Length: 5',
  'Content-Length: -1',
  'Content-Length: 99999999999999999999',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: x, chunked',
  'Expect: 100-continue',
  'Expect: x',
  'Connection: close',
  'Connection: keep-alive',
  'Sec-WebSocket-Protocol: chat, , ,x',
  'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
  'Authorization: Bearer',
  'Authorization: Bearer \xff',
  '__proto__: x',
  'constructor: x',
  'Host: localhost',
  'X:',
  ' folded',
  'no colon',
  'a b: c',
  'X: \xff\x80',
  'X: \0',
];

/** A valid handshake for `path` with that namespace, as a list of header lines. */
export function upgradeLines(path: string): string[] {
  return [
    `GET ${path} HTTP/1.1`,
    'Host: localhost',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
  ];
}

export function headOf(lines: readonly string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** WebSocket paths that take a query. */
export function webSocketPath(random: Random, version: 'v1' | 'v2', words: Vocabulary): string {
  const namespace = encodeURIComponent(random.pick(words.namespaces));
  const timeout = random.oneIn(2) ? `&abandon-timeout-ms=${random.pick(['0', '9000', '1'])}` : '';
  const token = random.oneIn(2) ? `&token=${encodeURIComponent(random.pick(words.tokens))}` : '';
  return `/${version}?namespace=${namespace}${timeout}${token}`;
}

/** A request as a byte string, from valid to nonsense. */
export function oddRequest(random: Random, words: Vocabulary): string {
  const lines = random.oneIn(2) ? brokenHandshake(random, words) : plainLines(random);
  for (let count = random.below(3); count > 0; count--) {
    lines.splice(1 + random.below(lines.length), 0, random.pick(HEADERS));
  }
  const end = random.oneIn(10) ? random.pick(['\n', '\r', '']) : '\r\n';
  const head = lines.join(random.oneIn(20) ? '\n' : '\r\n') + end + end;
  return head + random.pick(['', '', 'hello', '5\r\nhello\r\n0\r\n\r\n', '{"action":"lock"}\n']);
}

function plainLines(random: Random): string[] {
  const query = random.oneIn(3)
    ? `?${random.pick(['namespace=a', 'namespace=default', 'namespace=__proto__', 'namespace=%ff', 'namespace', '&=', '%'])}`
    : '';
  const first = `${random.pick(METHODS)} ${random.pick(PATHS)}${query} ${random.pick(VERSIONS)}`;
  return random.oneIn(8) ? [first] : [first, 'Host: localhost'];
}

/** A handshake with one line changed. */
function brokenHandshake(random: Random, words: Vocabulary): string[] {
  const lines = upgradeLines(webSocketPath(random, random.pick(['v1', 'v2']), words));
  const at = random.below(lines.length);
  const line = lines[at] ?? '';
  const cut = random.below(line.length + 1);
  const name = line.split(':')[0] ?? '';
  const broken = random.pick([
    '',
    line.toUpperCase(),
    line.slice(0, cut),
    line.slice(cut),
    `${line}\r\n${line}`,
    `${name}:`,
    `${name}: ${latin1(oddString(random))}`,
    `${name}: ${'x, '.repeat(random.below(8000))}websocket, upgrade`,
    line.replace('13', '8'),
    line.replace('websocket', 'h2c, WebSocket'),
    line.replace('GET', 'POST'),
    line.replace('namespace', 'name'),
    line.replace(/namespace=\w*/, 'namespace=%ed%a0%80&abandon-timeout-ms=1e3'),
    line.replace('localhost', 'evil.example'),
  ]);
  lines.splice(at, 1, ...(broken === '' ? [] : [broken]));
  return lines;
}

function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}
