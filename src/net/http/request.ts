/** Checks of an HTTP request that apply to every path. Pure: reads what `node:http` has parsed. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { type Page, sentence } from './pages.ts';

/** The server and the path that a request is addressed to. */
export interface Target {
  /** Only its path and query are meaningful. */
  readonly url: URL;
  /** The server's name, with or without a port; undefined if an HTTP/1.0 request has none. */
  readonly host: string | undefined;
}

/** Whether the server supports the HTTP version. */
export function isSpoken({ httpVersion }: IncomingMessage): boolean {
  return httpVersion === '1.1' || httpVersion === '1.0';
}

export function versionNotSpoken(): Page {
  return sentence(505, 'This server speaks HTTP/1.1.');
}

/**
 * How often the request has a header. `headersDistinct` would have it, too, but in older Nodes, such
 * as 20.15, it throws if a header is called `__proto__`.
 *
 * @param name in lower case
 */
export function headerCount(
  { rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>,
  name: string,
): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === name) count++;
  }
  return count;
}

/** The error page for missing or repeated Host headers (RFC 9112, 3.2); undefined if they are valid. */
export function hostMistake(
  request: Pick<IncomingMessage, 'httpVersion' | 'rawHeaders'>,
): Page | undefined {
  const hosts = headerCount(request, 'host');
  if (hosts > 1) return sentence(400, 'More than one Host header: send exactly one.');
  if (hosts === 1 || request.httpVersion === '1.0') return undefined;
  return sentence(400, 'The Host header is missing.');
}

/**
 * The error page for a target with other characters than printable ASCII. Older parsers, as that of
 * Node 20.15, let them pass, and Node reads them as Latin-1: another namespace than was meant.
 */
export function targetMistake({ url = '' }: Pick<IncomingMessage, 'url'>): Page | undefined {
  if (/^[!-~]*$/.test(url)) return undefined;
  return sentence(400, 'The request target must be ASCII: percent-encode all other characters.');
}

/**
 * The target; undefined if it is an authority or invalid. If it is an absolute URL, its host
 * replaces the Host header (RFC 9112, 3.2.2).
 */
export function targetOf({ method, url = '', headers }: IncomingMessage): Target | undefined {
  const { host } = headers;
  if (url === '*' && method === 'OPTIONS') return { url: new URL('http://localhost/'), host };
  if (url.startsWith('/')) return withUrl(`http://localhost${url}`, () => host);
  if (!isWebAddress(url)) return undefined;
  return withUrl(url, (absolute) => absolute.host);
}

/** Whether the request has a body. No request needs one, so none is ever read. */
export function hasBody({ headers }: IncomingMessage): boolean {
  if (headers['transfer-encoding'] !== undefined) return true;
  return Number(headers['content-length'] ?? 0) !== 0;
}

/**
 * Whether a proxy forwarded the request; its sender then counts as remote, wherever the connection
 * comes from. A client that forges these headers can only lose privileges.
 */
export function isProxied(headers: IncomingHttpHeaders): boolean {
  return Object.keys(headers).some(
    (name) => PROXY_HEADERS.has(name) || name.startsWith('x-forwarded-'),
  );
}

const PROXY_HEADERS: ReadonlySet<string> = new Set(['forwarded', 'via', 'x-real-ip']);

function isWebAddress(url: string): boolean {
  const start = url.slice(0, 'https://'.length).toLowerCase();
  return start.startsWith('http://') || start === 'https://';
}

function withUrl(text: string, hostOf: (url: URL) => string | undefined): Target | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  return { url, host: hostOf(url) };
}
