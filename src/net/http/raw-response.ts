/** An HTTP response put together as text, for sockets on which `node:http` no longer writes any. */
import { Buffer } from 'node:buffer';
import { STATUS_CODES } from 'node:http';

export interface RawResponse {
  readonly status: number;
  /** Beside Content-Length and Connection. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * The whole response (RFC 9112), after which the connection ends.
 *
 * @param isHead whether the request was a HEAD, which is answered without the body
 */
export function rawResponse({ status, headers, body }: RawResponse, isHead: boolean): string {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}\r\n`;
  for (const [name, value] of Object.entries(headers)) head += `${name}: ${value}\r\n`;
  for (const [name, value] of Object.entries(lengthOf({ status, body }))) {
    head += `${name}: ${value}\r\n`;
  }
  head += 'Connection: close\r\n\r\n';
  return isHead ? head : head + body;
}

/** Content-Length, where there is one: an answer 204 has neither a body nor the length of one. */
export function lengthOf({ status, body }: Pick<RawResponse, 'status' | 'body'>) {
  return status === 204 ? {} : { 'Content-Length': Buffer.byteLength(body) };
}
