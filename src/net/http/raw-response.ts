/** Builds an HTTP response as text, for sockets that `node:http` has detached from. */
import { Buffer } from 'node:buffer';
import { STATUS_CODES } from 'node:http';

export interface RawResponse {
  readonly status: number;
  /** In addition to Content-Length and Connection. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * The whole response (RFC 9112). The caller closes the connection after it.
 *
 * @param isHead whether the request was a HEAD; its response has no body
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

/** The Content-Length header; none for 204, nor for 304, where it would be that of the file (RFC 9110, 8.6). */
export function lengthOf({ status, body }: Pick<RawResponse, 'status' | 'body'>) {
  return status === 204 || status === 304 ? {} : { 'Content-Length': Buffer.byteLength(body) };
}
