/**
 * The pages that plain HTTP requests get, by path: text for people, numbers for programs. No
 * sockets.
 */
import { plural } from '../../runtime/text.ts';
import type { Namespace, Namespaces } from '../../session/namespace.ts';
import { VERSION } from '../../version.ts';
import {
  LISTING_PARAMETERS,
  type Listing,
  type ListingHost,
  locksListing,
  namespacesListing,
} from './listings.ts';
import type { MetricsSnapshot } from './metric.ts';
import { CONTENT_TYPES, formatFor, metricsText } from './metrics-text.ts';

export interface Page {
  readonly status: number;
  /** undefined where there is no body. */
  readonly contentType?: string;
  readonly body: string;
  /** In addition to those that every response has. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Milliseconds to wait before it is sent; such a page closes its connection. Undefined: no wait.
   */
  readonly lateMs?: number;
}

/** What pages read. */
export interface PageHost extends ListingHost {
  /** Why the server does not serve clients now, as a sentence; undefined if it does. */
  notReady(): string | undefined;
  metrics(): MetricsSnapshot;
}

export const V1_PATH = '/v1';
export const V2_PATH = '/v2';
const STATS_V1_PATH = '/stats_v1';
const LOCKS_PATH = '/locks';
const NAMESPACES_PATH = '/namespaces';
const METRICS_PATH = '/metrics';
const LIVE_PATH = '/livez';
const READY_PATH = '/readyz';

/**
 * Answered without a token, whatever Host and Origin are: probes send none, and no data is
 * revealed.
 */
export const PROBED_PATHS: ReadonlySet<string> = new Set([LIVE_PATH, READY_PATH]);

/** Answered even at the connection limit: the server is alive then, and has to be observable. */
export const WATCHED_PATHS: ReadonlySet<string> = new Set([LIVE_PATH, READY_PATH, METRICS_PATH]);

/** Whether `target` is a page that takes long to make. One that is spelled otherwise may be, too. */
export function isListing(target: string): boolean {
  const [path = ''] = target.split('?', 1);
  return path === LOCKS_PATH || path === NAMESPACES_PATH;
}

const ALLOW = 'GET, HEAD, OPTIONS';

/** Namespaces listed on the front page; the others are only counted. */
const MAX_LISTED = 100;

/** A page with one sentence for people, as plain text. */
export function sentence(status: number, text: string, headers: Record<string, string> = {}): Page {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${text}\n`, headers };
}

/**
 * The page for a request that is not a WebSocket handshake.
 *
 * @param method in upper case
 * @param url only the path and the query are used
 * @param accept the Accept header, if there is one
 * @param make makes the page of that path, if it is known; by default one of this file
 */
export function pageFor(
  method: string,
  url: URL,
  host: PageHost,
  accept: string | undefined,
  make: MakePage | undefined = PAGES.get(url.pathname),
): Page {
  if (make === undefined) {
    const known = [...PAGES.keys()].join(', ');
    return sentence(404, `Not found. Known paths: ${known}.`);
  }
  if (method === 'OPTIONS') return { status: 204, body: '', headers: { Allow: ALLOW } };
  if (method !== 'GET' && method !== 'HEAD') {
    return sentence(405, `This path answers GET, HEAD and OPTIONS only, not ${method}.`, {
      Allow: ALLOW,
    });
  }
  return make(url, host, accept);
}

type MakePage = (url: URL, host: PageHost, accept: string | undefined) => Page;

const PAGES: ReadonlyMap<string, MakePage> = new Map<string, MakePage>([
  ['/', (_url, { registry }) => frontPage(registry)],
  [V1_PATH, (url) => namespaceMissing(url) ?? needsWebSocket(url)],
  [V2_PATH, needsWebSocket],
  [STATS_V1_PATH, (url, { registry }) => statsV1(url, registry)],
  [LOCKS_PATH, (url, host) => listing(url, locksListing, host)],
  [NAMESPACES_PATH, (url, host) => listing(url, namespacesListing, host)],
  [METRICS_PATH, (_url, host, accept) => metrics(host, accept)],
  [LIVE_PATH, () => sentence(200, 'The server is alive.')],
  [READY_PATH, (_url, host) => ready(host)],
]);

/**
 * The error page for a query that is not valid UTF-8. `URLSearchParams` decodes all invalid bytes
 * to the same replacement character, which could make two different namespaces one.
 */
export function queryUnreadable({ search }: URL): Page | undefined {
  try {
    decodeURIComponent(search);
    return undefined;
  } catch {
    return sentence(400, 'The query must be UTF-8, percent-encoded.');
  }
}

/**
 * The error page for a query that has one of these parameters more than once: which one counts would
 * be a guess, and a proxy in front may have checked the other.
 */
export function parameterRepeated(
  { searchParams }: URL,
  names: Iterable<string>,
): Page | undefined {
  for (const name of names) {
    if (searchParams.getAll(name).length > 1) {
      return sentence(400, `The parameter ${name} is repeated: send it once.`);
    }
  }
  return undefined;
}

/** The error page for a query without the namespace that its path requires. */
export function namespaceMissing({ pathname, searchParams }: URL): Page | undefined {
  if (searchParams.get('namespace')) return undefined;
  return sentence(400, `Add the parameter namespace: ${pathname}?namespace=NAME.`);
}

/** The page that rejects new sessions while the server drains. */
export function draining(): Page {
  return sentence(503, 'The server is stopping: it accepts no new sessions or locks.');
}

function ready(host: PageHost): Page {
  if (host.registry.isDraining) return draining();
  const why = host.notReady();
  return why === undefined ? sentence(200, 'Ready.') : sentence(503, why);
}

function metrics(host: PageHost, accept: string | undefined): Page {
  const format = formatFor(accept);
  return {
    status: 200,
    contentType: CONTENT_TYPES[format],
    body: metricsText(host.metrics(), format),
  };
}

function listing(
  url: URL,
  list: (url: URL, host: ListingHost) => Listing,
  host: ListingHost,
): Page {
  const mistake = queryUnreadable(url) ?? parameterRepeated(url, LISTING_PARAMETERS);
  if (mistake !== undefined) return mistake;
  const made = list(url, host);
  return 'error' in made ? sentence(made.status, made.error) : json(made.body);
}

/** @param text in JSON */
function json(text: string): Page {
  return { status: 200, contentType: 'application/json', body: `${text}\n` };
}

function needsWebSocket(url: URL): Page {
  return sentence(400, `${url.pathname} is a WebSocket endpoint: use a WebSocket client.`);
}

function frontPage(namespaces: Namespaces): Page {
  const lines = [
    `Locktopus ${VERSION}: a lock server.`,
    '',
    'Programs that share data ask it for read and write locks on paths, and get them in order of',
    'arrival. This port takes',
    '  lines of JSON on plain TCP      nc HOST PORT, then type {"action":"help"}',
    `  WebSocket, the v1 protocol      ws://HOST:PORT${V1_PATH}?namespace=NAME`,
    `  WebSocket, the same as lines    ws://HOST:PORT${V2_PATH}`,
    `  HTTP, numbers of a namespace    http://HOST:PORT${STATS_V1_PATH}?namespace=NAME`,
    `  HTTP, locks and namespaces      http://HOST:PORT${LOCKS_PATH}?namespace=NAME and ${NAMESPACES_PATH}`,
    `  HTTP, numbers for Prometheus    http://HOST:PORT${METRICS_PATH}`,
    `  HTTP, probes                    http://HOST:PORT${LIVE_PATH} and ${READY_PATH}`,
    '',
    `Namespaces in use: ${namespaces.size}`,
    ...namespaceLines(namespaces),
  ];
  return sentence(200, lines.join('\n'));
}

function* namespaceLines(namespaces: Namespaces): Generator<string> {
  let listed = 0;
  for (const { name, table, sessions } of namespaces) {
    if (listed++ === MAX_LISTED) {
      yield `  and ${namespaces.size - MAX_LISTED} more`;
      return;
    }
    const { acquired, enqueued } = table.size;
    // As JSON, so that a name with line breaks can't forge lines of the page.
    yield `  ${JSON.stringify(name)}: ${acquired} held, ${enqueued} waiting, ${plural(sessions.size, 'session')}`;
  }
}

/**
 * The Go server's numbers under its names: its "groups" are our locks, its "locks" our resources. As
 * there, of a parameter that is repeated the first counts.
 */
function statsV1(url: URL, namespaces: Namespaces): Page {
  const wrong = queryUnreadable(url) ?? namespaceMissing(url);
  if (wrong !== undefined) return wrong;
  const name = url.searchParams.get('namespace') ?? '';
  const namespace = namespaces.get(name);
  if (namespace === undefined) {
    return sentence(404, `The namespace ${JSON.stringify(name)} is not in use.`);
  }
  return json(JSON.stringify(statsV1Of(namespace)));
}

function statsV1Of({ name, table, sessions }: Namespace): object {
  const { size } = table;
  return {
    LastGroupID: table.lastId,
    GroupsPending: size.enqueued,
    GroupsAcquired: size.acquired,
    LocksPending: size.resourcesEnqueued,
    LocksAcquired: size.resourcesAcquired,
    PathCount: size.paths,
    Namespace: name,
    Sessions: sessions.size,
  };
}
