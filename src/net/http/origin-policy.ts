/**
 * Checks Host and Origin. Any web page can make its user's browser send requests to a server on the
 * user's machine, so:
 *  - a request that carries an `Origin` comes from a page, and that origin must be allowed. `null`
 *    is an origin like any other.
 *  - on a loopback address, and everywhere once host names are configured, `Host` must name this
 *    server. Otherwise DNS rebinding would give a foreign page the same origin as the server.
 */
import { isIPv4 } from 'node:net';

export interface OriginPolicy {
  readonly allowedOrigins: readonly string[];
  readonly allowedHosts: readonly string[];
}

/**
 * @param origins origins, as in `https://shop.example`, whose pages may connect; `*` for any
 * @param hosts names by which this server may be addressed besides `localhost`; `*` for any. Ports
 *   are ignored
 */
export function originPolicy(origins: readonly string[], hosts: readonly string[]): OriginPolicy {
  return {
    allowedOrigins: origins.map(asStated),
    allowedHosts: hosts.map(nameOf),
  };
}

/** Why no page can have this origin, as the end of a sentence; undefined if one can. */
export function originFault(origin: string): string | undefined {
  const stated = asStated(origin);
  if (['*', 'null', 'file://'].includes(stated)) return undefined;
  const url = URL.canParse(stated) ? new URL(stated) : undefined;
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:';
  // URL gives other schemes, such as those of browser extensions, no origin.
  const usual = isWeb ? url.origin : stated;
  if (stated === usual && /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@*]+$/.test(stated)) return undefined;
  const example = isWeb && stated !== usual ? usual : 'https://shop.example';
  return `must be an origin as browsers write it, such as ${example}, not ${quoted(origin)}`;
}

/** Why no `Host` header can be this name, as the end of a sentence; undefined if one can. */
export function hostFault(host: string): string | undefined {
  const stated = nameOf(host);
  if (stated === '*') return undefined;
  const usual = URL.canParse(`http://${stated}/`) ? new URL(`http://${stated}/`).host : undefined;
  if (stated === usual && !/[*,]/.test(stated)) return undefined;
  return `must be a name or an address as in a URL, such as shop.example or [fd00::1], not ${quoted(host)}`;
}

/** Whether a Host header is a valid name or address, with or without a port. */
export function isHostName(host: string): boolean {
  return hostFault(host) === undefined && nameOf(host) !== '*';
}

/** A header of a request that is not allowed. */
export interface RejectedHeader {
  readonly header: 'host' | 'origin';
  /** A sentence that says why, and how to allow the request. */
  readonly why: string;
}

const LOOPBACK_NAMES = ['localhost', '[::1]'];

/**
 * @param origin the Origin header, if there is one
 * @param host the Host header, if there is one; browsers always send it
 * @param isLoopback whether the connection came by TCP to a loopback address of the server
 * @returns undefined if the request is allowed
 */
export function checkOrigin(
  rules: OriginPolicy,
  origin: string | undefined,
  host: string | undefined,
  isLoopback: boolean,
): RejectedHeader | undefined {
  const mustBeKnown = isLoopback || rules.allowedHosts.length > 0;
  if (host !== undefined && mustBeKnown && !isKnownHost(rules, nameOf(host))) {
    const name = quoted(nameOf(host));
    const why = `Host ${name} is not allowed. To allow it, start the server with --allow-host ${name}.`;
    return { header: 'host', why };
  }
  if (origin === undefined || isOwnOrigin(origin, host) || isListed(rules, origin))
    return undefined;
  const page = quoted(origin);
  const why = `Origin ${page} is not allowed. To allow it, start the server with --allow-origin ${page}.`;
  return { header: 'origin', why };
}

/**
 * The headers that let a page of an allowed origin read the response (Fetch, 3.2).
 *
 * @param isPreflight whether the request is a CORS preflight
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

/** An origin as browsers write it: in lower case, without a trailing slash and the default port. */
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

/** An address can't be rebound, so every loopback address is allowed, as in `--host 127.0.0.2`. */
function isLoopbackName(name: string): boolean {
  return LOOPBACK_NAMES.includes(name) || (isIPv4(name) && name.startsWith('127.'));
}

/** Whether the page was served by this server. */
function isOwnOrigin(origin: string, host: string | undefined): boolean {
  if (host === undefined) return false;
  const stated = asStated(origin);
  return ['http', 'https'].some((scheme) => stated === asStated(`${scheme}://${host}`));
}

/** A Host header, or a name in the same form, without its port, in lower case. */
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

/** Quotes text from the client for a sentence; at most 128 characters of it. */
function quoted(text: string): string {
  return JSON.stringify(text.length <= 128 ? text : `${text.slice(0, 128)}...`);
}
