/**
 * The table of all metrics, and the page in the Prometheus text format (version 0.0.4) that is made
 * from it. Pure: numbers in, text out. Names begin with `locktopus_`, units are seconds and bytes,
 * counters end in `_total`. A test compares the table with PROTOCOL.md, section 7.
 */
import type { Histogram } from '../../runtime/histogram.ts';
import type { Counters } from '../../session/counters.ts';
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
  /** Undefined without a store. */
  readonly store: StoreSnapshot | undefined;
}

/** The state of a server's store. */
export interface StoreSnapshot {
  readonly commits: Histogram;
  readonly records: number;
  /** Of the records, without what the store adds. */
  readonly bytesWritten: number;
  readonly bytes: number;
  readonly heldBackBytes: number;
  readonly recovered: Readonly<Record<'sessions' | 'locks', number>>;
}

/** A row of the table. */
export type Metric = {
  /** Without `locktopus_`. */
  readonly name: string;
  /** One line of text, without a backslash. */
  readonly help: string;
} & (
  | {
      readonly type: 'gauge' | 'counter';
      /** Undefined if the server has no such thing: the metric is absent. */
      readonly value: (snapshot: MetricsSnapshot) => number | undefined;
    }
  | {
      readonly type: 'gauge' | 'counter';
      readonly label: string;
      /** A number for each value of the label. Label values must need no escaping. */
      readonly values: (snapshot: MetricsSnapshot) => Readonly<Record<string, number>> | undefined;
    }
  | {
      readonly type: 'histogram';
      readonly histogram: (snapshot: MetricsSnapshot) => Histogram | undefined;
    }
);

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Absent without a store. */
const STORE_METRICS: readonly Metric[] = [
  {
    name: 'store_commit_seconds',
    type: 'histogram',
    help: 'Time of each commit of a batch of changes to the store.',
    histogram: ({ store }) => store?.commits,
  },
  {
    name: 'store_records_total',
    type: 'counter',
    help: 'Records committed: sessions and locks that began or ended.',
    value: ({ store }) => store?.records,
  },
  {
    name: 'store_written_bytes_total',
    type: 'counter',
    help: 'Bytes of those records.',
    value: ({ store }) => store?.bytesWritten,
  },
  {
    name: 'store_bytes',
    type: 'gauge',
    help: 'Size of the store.',
    value: ({ store }) => store?.bytes,
  },
  {
    name: 'store_held_back_bytes',
    type: 'gauge',
    help: 'Output that waits until what it reports is stored.',
    value: ({ store }) => store?.heldBackBytes,
  },
  {
    name: 'store_recovered',
    type: 'gauge',
    label: 'kind',
    help: 'What was restored at the start: sessions, locks.',
    values: ({ store }) => store?.recovered,
  },
];

/** Every metric, in the order of the page. Those of the store are absent without one. */
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
  ...STORE_METRICS,
];

export function metricsText(snapshot: MetricsSnapshot): string {
  return METRICS.map((metric) => {
    const samples = samplesOf(metric, snapshot);
    if (samples === undefined) return '';
    const name = `locktopus_${metric.name}`;
    const head = `# HELP ${name} ${metric.help}\n# TYPE ${name} ${metric.type}\n`;
    return head + samples.map(([rest, value]) => `${name}${rest} ${value}\n`).join('');
  }).join('');
}

type Sample = readonly [rest: string, value: number];

/** The samples of a metric: the suffix or labels that follow its name, and the value. */
function samplesOf(metric: Metric, snapshot: MetricsSnapshot): readonly Sample[] | undefined {
  if ('value' in metric) {
    const value = metric.value(snapshot);
    return value === undefined ? undefined : [['', value]];
  }
  if ('histogram' in metric) {
    const histogram = metric.histogram(snapshot);
    return histogram && histogramSamples(histogram);
  }
  const { label } = metric;
  const values = metric.values(snapshot);
  return values && Object.entries(values).map(([of, value]) => [`{${label}="${of}"}`, value]);
}

function histogramSamples({ boundsMs, counts, count, sumMs }: Histogram): readonly Sample[] {
  let soFar = 0;
  const buckets = Array.from(counts, (inBucket, i): Sample => {
    soFar += inBucket;
    const bound = boundsMs[i];
    return [`_bucket{le="${bound === undefined ? '+Inf' : bound / 1000}"}`, soFar];
  });
  return [...buckets, ['_sum', sumMs / 1000], ['_count', count]];
}
