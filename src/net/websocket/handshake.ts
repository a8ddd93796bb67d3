/**
 * The server side of the opening handshake (RFC 6455, 4.2). Pure: checks a request that `node:http`
 * has parsed, and returns the response. The owner checks Host, Origin and the path.
 *
 * Headers are untrusted, so they are parsed with loops over character codes: a regular expression
 * may backtrack for minutes. Every header may be missing.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** The parts of a request that are read; a `node:http` IncomingMessage is one. */
export interface HandshakeRequest {
  readonly method?: string | undefined;
  /** As in '1.1'. */
  readonly httpVersion: string;
  readonly headers: IncomingHttpHeaders;
}

export interface Accepted {
  /** The value of Sec-WebSocket-Accept. */
  readonly accept: string;
}

export interface RejectedHandshake {
  readonly status: number;
  /** To be sent in addition to Content-Length and Connection. */
  readonly headers: Readonly<Record<string, string>>;
  /** A sentence for people: the body. */
  readonly message: string;
}

/** Appended to the key, so that only a WebSocket server produces the response (1.3). */
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Sixteen bytes in base64: 22 characters and the padding. */
const KEY_LENGTH = 24;

/** Checks a handshake (4.2.1): returns the accept value for `acceptHead`, or the error response. */
export function checkHandshake(request: HandshakeRequest): Accepted | RejectedHandshake {
  const { headers } = request;
  if (request.method !== 'GET') {
    return error(405, 'A WebSocket is opened with the method GET.', { Allow: 'GET' });
  }
  if (!(Number.parseFloat(request.httpVersion) >= 1.1)) {
    return error(400, 'A WebSocket is opened with HTTP/1.1 or later.');
  }
  if (headers.host === undefined) return error(400, 'The Host header is missing.');
  if (!hasToken(headers.upgrade, 'websocket')) {
    return error(400, 'This is a WebSocket endpoint: the Upgrade header must name websocket.');
  }
  if (!hasToken(headers.connection, 'upgrade')) {
    return error(400, 'The Connection header must name upgrade.');
  }
  if (headers['sec-websocket-version'] !== '13') {
    return error(426, 'The Sec-WebSocket-Version header must be 13.', {
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
    });
  }
  const key = headers['sec-websocket-key'];
  if (key === undefined || !isKey(key)) {
    return error(400, 'The Sec-WebSocket-Key header must be 16 bytes in base64.');
  }
  return { accept: acceptValue(key) };
}

/**
 * The response that opens the connection (4.2.2). No extension is ever accepted.
 *
 * @param subprotocol the accepted one of those that the client offers, if any
 */
export function acceptHead(accept: string, subprotocol?: string): string {
  return (
    'HTTP/1.1 101 Switching Protocols\r\n' +
    'Upgrade: websocket\r\n' +
    'Connection: Upgrade\r\n' +
    (subprotocol === undefined ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`) +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`
  );
}

/** The subprotocols that a client offers (11.3.4), verbatim. */
export function offeredSubprotocols({ headers }: HandshakeRequest): string[] {
  return [...listItems(headers['sec-websocket-protocol'])];
}

function error(
  status: number,
  message: string,
  headers: Record<string, string> = {},
): RejectedHandshake {
  return { status, headers, message };
}

function acceptValue(key: string): string {
  return createHash('sha1')
    .update(key + ACCEPT_SUFFIX)
    .digest('base64');
}

/**
 * Whether a comma-separated list, which may be missing, has `token`, case-insensitively.
 *
 * @param token in lower case
 */
function hasToken(list: string | undefined, token: string): boolean {
  for (const item of listItems(list)) if (item.toLowerCase() === token) return true;
  return false;
}

/** The items of a comma-separated list (RFC 9110, 5.6.1), empty ones included; none if missing. */
function* listItems(list: string | undefined): Generator<string> {
  if (list === undefined) return;
  let start = 0;
  while (start <= list.length) {
    const comma = list.indexOf(',', start);
    const end = comma === -1 ? list.length : comma;
    yield trimmed(list, start, end);
    start = end + 1;
  }
}

/** `text` from `start` to `end` without the spaces and tabs around it. */
function trimmed(text: string, start: number, end: number): string {
  let from = start;
  let to = end;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/**
 * Whether `key` is 16 bytes in base64. Unused bits of the last character may be set, as in
 * decoders.
 */
function isKey(key: string): boolean {
  if (key.length !== KEY_LENGTH || !key.endsWith('==')) return false;
  for (let i = 0; i < KEY_LENGTH - 2; i++) {
    if (!isBase64(key.charCodeAt(i))) return false;
  }
  return true;
}

function isBase64(code: number): boolean {
  return (
    (code >= 0x41 && code <= 0x5a) || // A-Z
    (code >= 0x61 && code <= 0x7a) || // a-z
    (code >= 0x30 && code <= 0x39) || // 0-9
    code === 0x2b || // +
    code === 0x2f // /
  );
}
