/** What an HTTP request says of itself, whatever it asks for. Pure: looks at what `node:http` parsed. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { type Page, sentence } from './pages.ts';

/** Whom and what a request is addressed to. */
export interface Target {
  /** Only its path and query count. */
  readonly url: URL;
  /** The name of the server, perhaps with a port; undefined when an HTTP/1.0 client gave none. */
  readonly host: string | undefined;
}

/** Whether the version is one that is spoken here. */
export function isSpoken({ httpVersion }: IncomingMessage): boolean {
  return httpVersion === '1.1' || httpVersion === '1.0';
}

export function versionNotSpoken(): Page {
  return sentence(505, 'This server speaks HTTP/1.1.');
}

/** What is wrong with the Host headers of a request (RFC 9112, 3.2), if anything is. */
export function hostMistake({ httpVersion, headersDistinct }: IncomingMessage): Page | undefined {
  const { length = 0 } = headersDistinct.host ?? [];
  if (length > 1) return sentence(400, 'There is more than one header Host: send one.');
  if (length === 1 || httpVersion === '1.0') return undefined;
  return sentence(400, 'The header Host is missing.');
}

/**
 * The target; without a URL for an authority or nonsense. An absolute one names the server, and the
 * header Host then counts for nothing (RFC 9112, 3.2.2).
 */
export function targetOf({ method, url = '', headers }: IncomingMessage): Target | undefined {
  const { host } = headers;
  if (url === '*' && method === 'OPTIONS') return { url: new URL('http://localhost/'), host };
  if (url.startsWith('/')) return withUrl(`http://localhost${url}`, () => host);
  if (!isWebAddress(url)) return undefined;
  return withUrl(url, (absolute) => absolute.host);
}

/** Whether a body comes behind the head. None is ever read: nothing here asks for one. */
export function hasBody({ headers }: IncomingMessage): boolean {
  if (headers['transfer-encoding'] !== undefined) return true;
  return Number(headers['content-length'] ?? 0) !== 0;
}

/**
 * Whether a request was passed on by a proxy: then its sender is elsewhere than the connection says.
 * A client that claims it only loses by it.
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
