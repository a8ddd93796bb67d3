/**
 * Tells by the first bytes of a connection what it speaks: HTTP begins with the name of a method and
 * a space, and a line of ours, or the blanks before it, leads to `{`. What can become neither is
 * refused as soon as that is certain: no line end is waited for, which other protocols never send.
 */
import type { Buffer } from 'node:buffer';
import { METHODS } from 'node:http';
import { noWayToBegin, RequestError } from '../../protocol/errors.ts';

/** What a connection speaks; 'undecided' while it could still become one or the other. */
export type FirstBytes = 'http' | 'lines' | 'undecided' | RequestError;

/** How others begin that end up on this port, and what a person is told who reads the answer. */
const FOREIGN: readonly (readonly [start: string, sentence: string])[] = [
  [
    '\x16\x03',
    'this looks like a TLS handshake, and plain text is expected here: connect without TLS, or have the server use it (--tls-cert and --tls-key)',
  ],
  ['\xef\xbb\xbf', 'this begins with a byte order mark (BOM): send UTF-8 without one'],
  ['\xff\xfe', 'this looks like UTF-16, or telnet: send UTF-8, without a byte order mark (BOM)'],
  ['\xfe\xff', 'this looks like UTF-16: send UTF-8, without a byte order mark (BOM)'],
  [
    '\xff\xfb',
    'this looks like telnet option negotiation: connect with nc, which sends plain text',
  ],
  [
    '\xff\xfc',
    'this looks like telnet option negotiation: connect with nc, which sends plain text',
  ],
  [
    '\xff\xfd',
    'this looks like telnet option negotiation: connect with nc, which sends plain text',
  ],
  ...['\x04\x01', '\x04\x02', '\x05\x01', '\x05\x02', '\x05\x03'].map(
    (start): readonly [string, string] => [
      start,
      'this looks like SOCKS, and the server is no proxy: connect to it directly',
    ],
  ),
  ['PROXY ', 'this looks like the PROXY protocol: turn it off in the proxy'],
  // Its second version begins with line ends, which count as blanks.
  ['\0\r\nQUIT\n', 'this looks like the PROXY protocol: turn it off in the proxy'],
  ['HTTP/', 'this looks like the answer to an HTTP request, not a request'],
  ['SSH-', 'this looks like SSH'],
  ['EHLO', 'this looks like SMTP'],
  ['HELO', 'this looks like SMTP'],
  ['*', 'this looks like the protocol of Redis'],
  ['\x10', 'this looks like MQTT'],
  ['AMQP', 'this looks like AMQP'],
  ['\0\0\0', 'this looks like the protocol of a database'],
  ...METHODS.map((method): readonly [string, string] => [
    `${method.toLowerCase()} `,
    'the method of an HTTP request is written in capitals',
  ]),
];

/** `PRI` begins HTTP/2, which is answered in words that its clients may show. */
const HTTP_STARTS: readonly string[] = [...METHODS, 'PRI'].map((method) => `${method} `);
const FOREIGN_STARTS: readonly string[] = FOREIGN.map(([start]) => start);
const LONGEST = Math.max(...[...HTTP_STARTS, ...FOREIGN_STARTS].map((start) => start.length));

/** Of what can become nothing that is spoken here. */
export const NOTHING_KNOWN = refusalOf('this is neither HTTP nor a JSON object');

const REFUSALS: ReadonlyMap<string, RequestError> = new Map(
  FOREIGN.map(([start, sentence]) => [start, refusalOf(sentence)]),
);

/** @param bytes all that has come, without the blanks at its beginning */
export function firstBytes(bytes: Buffer): FirstBytes {
  const text = bytes.toString('latin1', 0, LONGEST);
  if (text.startsWith('{')) return 'lines';
  if (HTTP_STARTS.some((start) => text.startsWith(start))) return 'http';
  const foreign = FOREIGN_STARTS.find((start) => text.startsWith(start));
  if (foreign !== undefined) return REFUSALS.get(foreign) ?? NOTHING_KNOWN;
  const mayBecome = (start: string): boolean => start.startsWith(text);
  const isOpen = HTTP_STARTS.some(mayBecome) || FOREIGN_STARTS.some(mayBecome);
  return isOpen ? 'undecided' : NOTHING_KNOWN;
}

/** `bytes` from the first on that is none of the blanks which may stand before a JSON text. */
export function withoutBlanks(bytes: Buffer): Buffer {
  const start = bytes.findIndex((byte) => !BLANKS.has(byte));
  return bytes.subarray(start === -1 ? bytes.length : start);
}

const BLANKS: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);

function refusalOf(sentence: string): RequestError {
  return noWayToBegin(new RequestError('bad_json', sentence));
}
