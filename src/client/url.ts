/**
 * Where a server is, as people write it:
 *
 *     locktopus://localhost/shop            TCP, port 9009 unless given; `shop` is the namespace
 *     locktopuss://locks.example:9443       the same inside TLS
 *     locktopus://a,b:9010,[::1]/shop       several hosts, tried one after the other
 *     unix:/run/locktopus.sock?namespace=shop
 *     ws://localhost:9009/shop              WebSocket, wss:// inside TLS
 *     wss://example.com/locks/v2?namespace=shop     at another path, which ends in /v2
 */

/** One address to connect to. `name` is for messages. */
export type Address =
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      readonly secure: boolean;
      readonly name: string;
    }
  | { readonly kind: 'unix'; readonly path: string; readonly name: string }
  | { readonly kind: 'websocket'; readonly url: string; readonly name: string };

export interface Target {
  /** At least one, in the order in which they are tried. */
  readonly addresses: readonly Address[];
  readonly namespace: string | undefined;
}

const DEFAULT_PORT = 9009;
export const DEFAULT_URL = 'locktopus://localhost';

const SCHEMES = 'locktopus://, locktopuss://, unix:, ws:// or wss://';

/** Throws a TypeError that says why `url` is invalid. */
export function parseUrl(url: string): Target {
  if (url.startsWith('unix:')) return parseUnix(url);
  if (url.includes('#')) {
    throw new TypeError(`${shown(url)} has a fragment: leave out the # and what follows it`);
  }
  const match = /^([a-z]+):\/\/([^/?]*)(\/[^?]*)?(?:\?(.*))?$/s.exec(url);
  const [, scheme = '', authority = '', path = '', query = ''] = match ?? [];
  const isWebSocket = scheme === 'ws' || scheme === 'wss';
  if (!isWebSocket && scheme !== 'locktopus' && scheme !== 'locktopuss') {
    throw new TypeError(`${shown(url)} is not the URL of a lock server: start it with ${SCHEMES}`);
  }
  if (authority.includes('@')) {
    throw new TypeError('a URL cannot carry a token: pass it as the option token');
  }
  const hosts = authority.split(',').map((host) => parseHost(host, url));
  const parameters = parseQuery(query, url);
  if (isWebSocket) return webSocketTarget(scheme, hosts, path, parameters, url);
  const secure = scheme === 'locktopuss';
  return {
    addresses: hosts.map(({ host, port = DEFAULT_PORT }) => ({
      kind: 'tcp',
      host,
      port,
      secure,
      name: `${scheme}://${bracketed(host)}:${port}`,
    })),
    namespace: namespaceOf(path, parameters, url),
  };
}

/**
 * The index of the address that a server calls `place`, HOST:PORT; -1 if it is none of `addresses`.
 * It is compared as text: a server that calls itself by a number is not found by its name.
 */
export function indexOfPlace(addresses: readonly Address[], place: string): number {
  return addresses.findIndex((address) => placeOf(address) === place.toLowerCase());
}

function placeOf(address: Address): string | undefined {
  if (address.kind === 'unix') return undefined;
  if (address.kind === 'tcp') return `${bracketed(address.host)}:${address.port}`.toLowerCase();
  const { protocol, hostname, port } = new URL(address.url);
  const usualPort = protocol === 'wss:' ? '443' : '80';
  return `${hostname}:${port === '' ? usualPort : port}`;
}

function parseUnix(url: string): Target {
  const [, path = '', query = ''] = /^unix:(?:\/\/(?=\/))?([^?]*)(?:\?(.*))?$/.exec(url) ?? [];
  if (path === '') {
    throw new TypeError(
      `${shown(url)} names no socket: write unix:/run/locktopus.sock, for example`,
    );
  }
  const name = `unix:${path}`;
  return {
    addresses: [{ kind: 'unix', path: decoded(path, url), name }],
    namespace: parseQuery(query, url).namespace,
  };
}

interface Host {
  readonly host: string;
  readonly port: number | undefined;
}

function parseHost(text: string, url: string): Host {
  const match = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text);
  // A percent sign, %25 in a URL, precedes the zone of an IPv6 address.
  const host = match?.[1]?.replace('%25', '%') ?? match?.[2];
  if (host === undefined) {
    const hint = text.split(':').length > 2 ? '; write an IPv6 address in brackets, as [::1]' : '';
    throw new TypeError(`${shown(url)} has an invalid host: ${quoted(text)}${hint}`);
  }
  const port = match?.[3] === undefined ? undefined : Number(match[3]);
  if (port !== undefined && (port < 1 || port > 65_535)) {
    throw new TypeError(`${shown(url)} has an invalid port: ${port} is not from 1 to 65535`);
  }
  return { host, port };
}

function webSocketTarget(
  scheme: string,
  hosts: readonly Host[],
  path: string,
  parameters: Parameters,
  url: string,
): Target {
  const isEndpoint = path.endsWith('/v2');
  const endpoint = isEndpoint ? path : '/v2';
  return {
    addresses: hosts.map(({ host, port }) => {
      const name = `${scheme}://${bracketed(host)}${port === undefined ? '' : `:${port}`}`;
      return { kind: 'websocket', url: `${name}${endpoint}`, name };
    }),
    namespace: namespaceOf(isEndpoint ? '' : path, parameters, url),
  };
}

/** @param path of the URL, where that may be a namespace */
function namespaceOf(path: string, parameters: Parameters, url: string): string | undefined {
  const namespace = namespaceIn(path, url);
  if (namespace !== undefined && parameters.namespace !== undefined) throw namespaceTwice(url);
  return namespace ?? parameters.namespace;
}

function namespaceTwice(url: string): TypeError {
  return new TypeError(`${shown(url)} has more than one namespace: name one`);
}

function namespaceIn(path: string, url: string): string | undefined {
  const segment = path.slice(1);
  if (segment === '') return undefined;
  if (segment.includes('/')) {
    throw new TypeError(
      `${shown(url)} has more than a namespace after its host: write a slash in a namespace as %2F`,
    );
  }
  return decoded(segment, url);
}

interface Parameters {
  readonly namespace: string | undefined;
}

function parseQuery(query: string, url: string): Parameters {
  let namespace: string | undefined;
  for (const part of query.split('&').filter((text) => text !== '')) {
    const [name = '', value = ''] = part.split('=', 2);
    if (name !== 'namespace') {
      throw new TypeError(
        `${shown(url)} has an unknown parameter ${quoted(name)}: only namespace can stand in a URL, pass the rest as options`,
      );
    }
    if (namespace !== undefined) throw namespaceTwice(url);
    namespace = decoded(value, url);
  }
  return { namespace };
}

function decoded(text: string, url: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError(`${shown(url)} has an invalid percent-encoding`);
  }
}

/** The URL for messages, without the parts that may be secret. */
function shown(url: string): string {
  return quoted(url.replace(/\?.*$/s, '?…').replace(/\/\/[^/]*@/, '//…@'));
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
