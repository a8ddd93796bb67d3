/**
 * Who may speak HTTP to this server. Any web page can make its visitor's browser talk to a server
 * on the visitor's own machine, so:
 *  - a request that carries an `Origin` comes from a page, and the page must be allowed. `null` is
 *    an origin like any other.
 *  - on a loopback address, and everywhere when names are given, `Host` must name this server: a
 *    page whose own name was rebound to it would otherwise be taken for one of ours.
 */
import { isIPv4 } from 'node:net';

export interface OriginPolicy {
  readonly allowedOrigins: readonly string[];
  readonly allowedHosts: readonly string[];
}

/**
 * @param origins origins, as in `https://shop.example`, whose pages may connect; `*` for any
 * @param hosts names by which this server may be addressed beside `localhost`; `*` for any. A port
 *   behind one counts for nothing
 */
export function originPolicy(origins: readonly string[], hosts: readonly string[]): OriginPolicy {
  return {
    allowedOrigins: origins.map(asStated),
    allowedHosts: hosts.map(nameOf),
  };
}

/** What is wrong with an origin that no page could ever have, as the end of a sentence. */
export function originFault(origin: string): string | undefined {
  const stated = asStated(origin);
  if (['*', 'null', 'file://'].includes(stated)) return undefined;
  const url = URL.canParse(stated) ? new URL(stated) : undefined;
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:';
  // Other schemes, those of browser extensions, say, are not taken apart by URL.
  const usual = isWeb ? url.origin : stated;
  if (stated === usual && /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@*]+$/.test(stated)) return undefined;
  const example = isWeb && stated !== usual ? usual : 'https://shop.example';
  return `must be an origin as browsers write it, such as ${example}, not ${quoted(origin)}`;
}

/** What is wrong with a name that no `Host` could ever be, as the end of a sentence. */
export function hostFault(host: string): string | undefined {
  const stated = nameOf(host);
  if (stated === '*') return undefined;
  const usual = URL.canParse(`http://${stated}/`) ? new URL(`http://${stated}/`).host : undefined;
  if (stated === usual && !/[*,]/.test(stated)) return undefined;
  return `must be a name or an address as in a URL, such as shop.example or [fd00::1], not ${quoted(host)}`;
}

/** Whether a Host header is a name or an address, perhaps with a port: one that could be allowed. */
export function isHostName(host: string): boolean {
  return hostFault(host) === undefined && nameOf(host) !== '*';
}

const LOOPBACK_NAMES = ['localhost', '[::1]'];

/**
 * @param origin the Origin header, if there is one
 * @param host the Host header, if there is one: no browser leaves it out
 * @param isLoopback whether the connection came by TCP where only this machine can reach the server
 * @returns a sentence that says why not and what would allow it, or undefined for a welcome
 */
export function checkOrigin(
  rules: OriginPolicy,
  origin: string | undefined,
  host: string | undefined,
  isLoopback: boolean,
): string | undefined {
  const mustBeKnown = isLoopback || rules.allowedHosts.length > 0;
  if (host !== undefined && mustBeKnown && !isKnownHost(rules, nameOf(host))) {
    return `This server is not known as ${quoted(nameOf(host))}. Start it with --allow-host ${quoted(nameOf(host))} if it should be.`;
  }
  if (origin === undefined || isOwnOrigin(origin, host) || isListed(rules, origin))
    return undefined;
  return `Pages from ${quoted(origin)} may not connect. Start the server with --allow-origin ${quoted(origin)} if they should.`;
}

/**
 * What lets a listed page read the answer, and not only send the request (Fetch, 3.2).
 *
 * @param isPreflight whether the browser asks first what it may send
 */
export function corsHeaders(
  rules: OriginPolicy,
  origin: string | undefined,
  isPreflight: boolean,
): Record<string, string> {
  if (rules.allowedOrigins.length === 0) return {};
  const vary = { Vary: 'Origin' };
  if (origin === undefined || !isListed(rules, origin)) return vary;
  const may = { ...vary, 'Access-Control-Allow-Origin': origin };
  return isPreflight ? { ...may, 'Access-Control-Allow-Headers': 'Authorization' } : may;
}

function isListed({ allowedOrigins }: OriginPolicy, origin: string): boolean {
  return allowedOrigins.includes('*') || allowedOrigins.includes(asStated(origin));
}

/** An origin as browsers write it: without a path and the default port, in lower case. */
function asStated(origin: string): string {
  const stated = origin.toLowerCase().replace(/([^/])\/$/, '$1');
  for (const [scheme, port] of DEFAULT_PORTS) {
    if (stated.startsWith(scheme) && stated.endsWith(port)) return stated.slice(0, -port.length);
  }
  return stated;
}

const DEFAULT_PORTS = [
  ['http://', ':80'],
  ['https://', ':443'],
] as const;

function isKnownHost({ allowedHosts }: OriginPolicy, name: string): boolean {
  return isLoopbackName(name) || allowedHosts.includes('*') || allowedHosts.includes(name);
}

/** An address can't be rebound, so every loopback one will do, as in `--host 127.0.0.2`. */
function isLoopbackName(name: string): boolean {
  return LOOPBACK_NAMES.includes(name) || (isIPv4(name) && name.startsWith('127.'));
}

/** Whether the page was served by this very server. */
function isOwnOrigin(origin: string, host: string | undefined): boolean {
  if (host === undefined) return false;
  const stated = asStated(origin);
  return ['http', 'https'].some((scheme) => stated === asStated(`${scheme}://${host}`));
}

/** A Host header, or what is like one, without its port, in lower case. */
function nameOf(host: string): string {
  const end = host.endsWith(']') ? -1 : host.lastIndexOf(':');
  const hasPort = end !== -1 && isDigits(host.slice(end + 1));
  return (hasPort ? host.slice(0, end) : host).toLowerCase();
}

function isDigits(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x30 || code > 0x39) return false;
  }
  return true;
}

/** Text from outside, to be repeated in a sentence. */
function quoted(text: string): string {
  return JSON.stringify(text.length <= 128 ? text : `${text.slice(0, 128)}...`);
}
