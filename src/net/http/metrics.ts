/**
 * The table of all metrics, and the page in the Prometheus text format (version 0.0.4) that is made
 * from it. Pure: numbers in, text out. Names begin with `locktopus_`, units are seconds and bytes,
 * counters end in `_total`. A test compares the table with PROTOCOL.md, section 7.
 */
import { type Counters, WAIT_BUCKETS_MS, type WaitHistogram } from '../../session/counters.ts';
import type { Statistics } from '../../session/statistics.ts';
import { VERSION } from '../../version.ts';

/** The state of a server when the page is requested. */
export interface MetricsSnapshot {
  readonly counters: Counters;
  /** Open connections by protocol; `other` is HTTP, and those that have sent nothing yet. */
  readonly connections: Readonly<Record<'lines' | 'websocket' | 'other', number>>;
  /** Connections accepted since the start. */
  readonly connectionsTotal: number;
  /** Connections since the start that spoke the protocol. */
  readonly clientsTotal: Readonly<Record<'lines' | 'websocket', number>>;
  readonly statistics: Statistics;
  readonly isDraining: boolean;
  readonly uptimeMs: number;
  readonly stalls: { readonly count: number; readonly maxMs: number };
  readonly memoryBytes: Readonly<Record<'rss' | 'heap_total' | 'heap_used' | 'external', number>>;
}

/** A row of the table. */
export type Metric = {
  /** Without `locktopus_`. */
  readonly name: string;
  /** One line of text, without a backslash. */
  readonly help: string;
} & (
  | { readonly type: 'gauge' | 'counter'; readonly value: (snapshot: MetricsSnapshot) => number }
  | {
      readonly type: 'gauge' | 'counter';
      readonly label: string;
      /** A number for each value of the label. Label values must need no escaping. */
      readonly values: (snapshot: MetricsSnapshot) => Readonly<Record<string, number>>;
    }
  | {
      readonly type: 'histogram';
      readonly histogram: (snapshot: MetricsSnapshot) => WaitHistogram;
    }
);

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Every metric, in the order of the page. */
export const METRICS: readonly Metric[] = [
  {
    name: 'info',
    type: 'gauge',
    label: 'version',
    help: 'Always 1; the label is the version of the server.',
    values: () => ({ [VERSION]: 1 }),
  },
  {
    name: 'uptime_seconds',
    type: 'gauge',
    help: 'Time since the server started.',
    value: ({ uptimeMs }) => uptimeMs / 1000,
  },
  {
    name: 'draining',
    type: 'gauge',
    help: '1 while the server drains, else 0.',
    value: ({ isDraining }) => (isDraining ? 1 : 0),
  },
  {
    name: 'connections',
    type: 'gauge',
    label: 'kind',
    help: 'Open connections: lines, websocket, and other: HTTP, or nothing sent yet.',
    values: ({ connections }) => connections,
  },
  {
    name: 'sessions',
    type: 'gauge',
    label: 'state',
    help: 'Sessions: open, and lost, which may be resumed.',
    values: ({ statistics }) => statistics.sessions,
  },
  {
    name: 'locks',
    type: 'gauge',
    label: 'state',
    help: 'Locks: acquired, enqueued.',
    values: ({ statistics }) => statistics.locks,
  },
  {
    name: 'namespaces',
    type: 'gauge',
    help: 'Namespaces in use.',
    value: ({ statistics }) => statistics.namespaces,
  },
  {
    name: 'paths',
    type: 'gauge',
    help: 'Paths in use, with all their prefixes.',
    value: ({ statistics }) => statistics.paths,
  },
  {
    name: 'memory_bytes',
    type: 'gauge',
    label: 'kind',
    help: 'Memory of the process: rss, heap_total, heap_used, external.',
    values: ({ memoryBytes }) => memoryBytes,
  },
  {
    name: 'event_loop_stall_max_seconds',
    type: 'gauge',
    help: 'Longest time that the event loop was blocked since the start; 0 if not measured.',
    value: ({ stalls }) => stalls.maxMs / 1000,
  },
  {
    name: 'event_loop_stalls_total',
    type: 'counter',
    help: 'How often the event loop was blocked for longer than --stall-threshold.',
    value: ({ stalls }) => stalls.count,
  },
  {
    name: 'connections_total',
    type: 'counter',
    help: 'Connections accepted.',
    value: ({ connectionsTotal }) => connectionsTotal,
  },
  {
    name: 'clients_total',
    type: 'counter',
    label: 'kind',
    help: 'Connections that spoke a protocol: lines, websocket.',
    values: ({ clientsTotal }) => clientsTotal,
  },
  {
    name: 'locks_requested_total',
    type: 'counter',
    help: 'Lock requests; a retry for an unreleased lock does not count.',
    value: ({ counters }) => counters.locksRequested,
  },
  {
    name: 'locks_acquired_total',
    type: 'counter',
    help: 'Locks acquired, at once or after a wait.',
    value: ({ counters }) => counters.locksAcquired,
  },
  {
    name: 'locks_missed_total',
    type: 'counter',
    help: 'Lock requests with waitMs 0 that ended in timeout.',
    value: ({ counters }) => counters.locksMissed,
  },
  {
    name: 'locks_ended_total',
    type: 'counter',
    label: 'cause',
    help: 'Locks, held or waiting, that ended: released, timeout, expired, evicted, ended (by bye or the end of the server), lost (it waited in a session without a name), abandoned, draining.',
    values: ({ counters }) => counters.locksEnded,
  },
  {
    name: 'errors_total',
    type: 'counter',
    label: 'code',
    help: 'Error replies of the session protocol, and connections rejected over HTTP, by code; only codes that have occurred.',
    values: ({ counters }) => Object.fromEntries(counters.errors),
  },
  {
    name: 'auth_failures_total',
    type: 'counter',
    label: 'reason',
    help: 'Failed authentications on all transports: no_token, wrong_token, tls_handshake (the TLS handshake failed). Counted per request over HTTP, and on lines per connection whose first message was JSON.',
    values: ({ counters }) => counters.authFailures,
  },
  {
    name: 'lock_wait_seconds',
    type: 'histogram',
    help: 'Waiting time of locks that were enqueued and then acquired.',
    histogram: ({ counters }) => counters.waits,
  },
];

export function metricsText(snapshot: MetricsSnapshot): string {
  return METRICS.map((metric) => {
    const name = `locktopus_${metric.name}`;
    const head = `# HELP ${name} ${metric.help}\n# TYPE ${name} ${metric.type}\n`;
    const samples = samplesOf(metric, snapshot).map(([rest, value]) => `${name}${rest} ${value}\n`);
    return head + samples.join('');
  }).join('');
}

/** The samples of a metric: the suffix or labels that follow its name, and the value. */
function samplesOf(metric: Metric, snapshot: MetricsSnapshot): [rest: string, value: number][] {
  if ('value' in metric) return [['', metric.value(snapshot)]];
  if ('histogram' in metric) return histogramSamples(metric.histogram(snapshot));
  const { label } = metric;
  return Object.entries(metric.values(snapshot)).map(([of, value]) => [
    `{${label}="${of}"}`,
    value,
  ]);
}

function histogramSamples({
  counts,
  count,
  sumMs,
}: WaitHistogram): [rest: string, value: number][] {
  let soFar = 0;
  const buckets = Array.from(counts, (inBucket, i): [string, number] => {
    soFar += inBucket;
    const bound = WAIT_BUCKETS_MS[i];
    return [`_bucket{le="${bound === undefined ? '+Inf' : bound / 1000}"}`, soFar];
  });
  return [...buckets, ['_sum', sumMs / 1000], ['_count', count]];
}
