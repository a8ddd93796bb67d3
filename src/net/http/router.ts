/**
 * Decides what an HTTP request gets, upgrades too: checks version, Host, Origin and capacity,
 * authenticates, and makes the page. No sockets.
 */
import type { IncomingMessage } from 'node:http';
import type { Authentication, Locality } from '../../protocol/auth.ts';
import type { ProtocolHost } from '../../protocol/channel.ts';
import type { RequestError } from '../../protocol/errors.ts';
import { isObject } from '../../runtime/unknown.ts';
import type { AcceptedConnection } from '../listen/listener.ts';
import { tokenIn, tokenRepeated, unauthorizedPage } from './credentials.ts';
import {
  checkOrigin,
  corsHeaders,
  isHostName,
  type OriginPolicy,
  type RejectedHeader,
} from './origin-policy.ts';
import { PageFiles } from './page-files.ts';
import {
  type Page,
  type PageHost,
  PROBED_PATHS,
  pageFor,
  sentence,
  WATCHED_PATHS,
} from './pages.ts';
import {
  hostMistake,
  isProxied,
  isSpoken,
  type Target,
  targetMistake,
  targetOf,
  versionNotSpoken,
} from './request.ts';
import { waitingPage } from './waiting-page.ts';

export interface RouterHost extends ProtocolHost, PageHost {
  readonly originPolicy: OriginPolicy;
  /** Logs that a request of `client`, an address, was rejected because of a header. */
  headerRejected(rejected: RejectedHeader, client: string): void;
}

/** The connection that a request came on. */
export interface Sender {
  readonly accepted: Pick<AcceptedConnection, 'name' | 'locality' | 'isLoopback'>;
  /** The error that answers its first request, if the server is full or not ready. */
  readonly rejected: RequestError | undefined;
}

/** A request that has passed the checks of version, Host, Origin and capacity. */
export interface Route {
  readonly url: URL;
  readonly locality: Locality;
}

export class Router {
  readonly #host: RouterHost;
  readonly #files = new PageFiles();

  constructor(host: RouterHost) {
    this.#host = host;
  }

  /** The page that answers `request`. */
  page(request: IncomingMessage, sender: Sender): Page {
    const route = this.route(request, sender);
    if ('status' in route) return route;
    const { url } = route;
    const { method = 'GET', headers } = request;
    const isFile = this.#files.has(url.pathname, headers);
    // A CORS preflight carries no token, and a browser that opens the page has none yet.
    const isOpen = PROBED_PATHS.has(url.pathname) || method === 'OPTIONS' || isFile;
    const rejection = isOpen ? undefined : this.#rejection(request, sender, route);
    const makeFile = isFile ? () => this.#files.page(url.pathname, headers) : undefined;
    const page = rejection ?? pageFor(method, url, this.#host, headers.accept, makeFile);
    const cors = corsHeaders(this.#host.originPolicy, headers.origin, method === 'OPTIONS');
    const vary = [page.headers?.Vary, cors.Vary].filter((name) => name !== undefined);
    const varying = vary.length === 0 ? {} : { Vary: vary.join(', ') };
    return { ...page, headers: { ...page.headers, ...cors, ...varying } };
  }

  /** The checks that every request has to pass, upgrades too; the error page if one fails. */
  route(request: IncomingMessage, sender: Sender): Route | Page {
    if (!isSpoken(request)) return versionNotSpoken();
    const { headers } = request;
    const target = targetOf(request);
    const isProbe = target !== undefined && PROBED_PATHS.has(target.url.pathname);
    // A probe may use any address as Host, and its response reveals nothing.
    const mistake =
      hostMistake(request) ??
      targetMistake(request) ??
      (isProbe ? undefined : this.#checkOrigin(request, sender, target));
    if (mistake !== undefined) return mistake;
    if (target === undefined) return sentence(400, 'The request target must be a path.');
    const { url } = target;
    const { rejected, accepted } = sender;
    if (rejected !== undefined && !WATCHED_PATHS.has(url.pathname)) {
      this.#host.counters.countError(rejected.code);
      const isDocument = url.pathname === '/' && this.#files.has('/', headers);
      return isDocument ? waitingDocument(rejected) : unavailable(rejected);
    }
    return { url, locality: isProxied(headers) ? 'remote' : accepted.locality };
  }

  #checkOrigin({ headers }: IncomingMessage, sender: Sender, target?: Target): Page | undefined {
    const { originPolicy } = this.#host;
    const { isLoopback } = sender.accepted;
    const host = target === undefined ? headers.host : target.host;
    const rejected = checkOrigin(originPolicy, headers.origin, host, isLoopback);
    if (rejected === undefined) return undefined;
    this.#host.counters.rejectedRequests[rejected.header]++;
    if (host !== undefined && !isHostName(host)) {
      return sentence(400, 'The Host header is not a valid name.');
    }
    this.#host.headerRejected(rejected, sender.accepted.name);
    return sentence(403, rejected.why);
  }

  /** The error page for a client without a role. */
  #rejection(request: IncomingMessage, sender: Sender, route: Route): Page | undefined {
    const authentication = this.authenticate(request, sender, route);
    if ('status' in authentication) return authentication;
    return authentication.role === 'none' ? unauthorizedPage(authentication.failure) : undefined;
  }

  /** The client's role, or why it has none; the error page if the request has several tokens. */
  authenticate(
    request: IncomingMessage,
    { accepted }: Sender,
    { url, locality }: Route,
  ): Authentication | Page {
    const mistake = tokenRepeated(request, url);
    if (mistake !== undefined) return mistake;
    const { auth } = this.#host;
    const authentication = auth.authenticate(tokenIn(request, url.searchParams), locality);
    if (authentication.role === 'none') {
      this.#host.authFailed(authentication.failure, accepted.name);
    }
    return authentication;
  }
}

/** The error's message, lower-case in the line protocol, as a sentence. */
export function errorSentence({ message }: RequestError): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}

function waitingDocument(error: RequestError): Page {
  const { details } = error;
  return waitingPage(errorSentence(error), isObject(details) ? details.owner : undefined);
}

export function unavailable(error: RequestError): Page {
  return sentence(503, errorSentence(error), { 'Retry-After': '1' });
}
