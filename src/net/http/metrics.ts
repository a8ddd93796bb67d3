/**
 * The table of all metrics, from which metrics-text.ts makes the page. Names begin with
 * `locktopus_`, but for those of process-metrics.ts. Units are seconds and bytes, counters end in
 * `_total`. A test compares the table with PROTOCOL.md, section 7.
 */
import { VERSION } from '../../version.ts';
import type { Metric } from './metric.ts';
import { PROCESS_METRICS } from './process-metrics.ts';

/** Absent without a store. */
const STORE_METRICS: readonly Metric[] = [
  {
    name: 'locktopus_store_commit_seconds',
    type: 'histogram',
    help: 'Time of each commit of a batch of changes to the store.',
    histogram: ({ store }) => store?.commits,
  },
  {
    name: 'locktopus_store_records_total',
    type: 'counter',
    help: 'Records committed: sessions and locks that began or ended.',
    value: ({ store }) => store?.records,
  },
  {
    name: 'locktopus_store_written_bytes_total',
    type: 'counter',
    help: 'Bytes of those records.',
    value: ({ store }) => store?.bytesWritten,
  },
  {
    name: 'locktopus_store_bytes',
    type: 'gauge',
    help: 'Size of the store.',
    value: ({ store }) => store?.bytes,
  },
  {
    name: 'locktopus_store_held_back_bytes',
    type: 'gauge',
    help: 'Output that waits until what it reports is stored.',
    value: ({ store }) => store?.heldBackBytes,
  },
  {
    name: 'locktopus_store_recovered',
    type: 'gauge',
    label: 'kind',
    help: 'What was restored at the start: sessions, locks.',
    values: ({ store }) => store?.recovered,
  },
];

/** Absent without --etcd. */
const OWNERSHIP_METRICS: readonly Metric[] = [
  {
    name: 'locktopus_owner',
    type: 'gauge',
    help: '1 for the server that owns the locks in etcd, 0 for one that waits for its turn.',
    value: ({ ownership }) => ownership && Number(ownership.isOwner),
  },
  {
    name: 'locktopus_owner_proof_age_seconds',
    type: 'gauge',
    help: 'Time since the owner last proved that it is the owner; absent on a server that waits.',
    value: ({ ownership }) => ownership?.proofAgeMs && ownership.proofAgeMs / 1000,
  },
  {
    name: 'locktopus_takeovers_total',
    type: 'counter',
    help: 'How often this server has become the owner.',
    value: ({ ownership }) => ownership?.takeovers,
  },
  {
    name: 'locktopus_etcd_retries_total',
    type: 'counter',
    help: 'Requests to etcd that failed and were tried again.',
    value: ({ ownership }) => ownership?.retries,
  },
];

/** Every metric, in the order of the page. Those of the store are absent without one. */
export const METRICS: readonly Metric[] = [
  {
    name: 'locktopus_info',
    type: 'gauge',
    labels: { version: VERSION },
    help: 'Always 1; the label is the version of the server.',
  },
  {
    name: 'locktopus_draining',
    type: 'gauge',
    help: '1 while the server drains, else 0.',
    value: ({ isDraining }) => (isDraining ? 1 : 0),
  },
  {
    name: 'locktopus_connections',
    type: 'gauge',
    label: 'kind',
    help: 'Open connections: lines, websocket, and other: HTTP, or nothing sent yet.',
    values: ({ connections }) => connections,
  },
  {
    name: 'locktopus_sessions',
    type: 'gauge',
    label: 'state',
    help: 'Sessions: open, and lost, which may be resumed.',
    values: ({ statistics }) => statistics.sessions,
  },
  {
    name: 'locktopus_locks',
    type: 'gauge',
    label: 'state',
    help: 'Locks: acquired, enqueued.',
    values: ({ statistics }) => statistics.locks,
  },
  {
    name: 'locktopus_oldest_wait_seconds',
    type: 'gauge',
    help: 'How long the lock that has waited longest has waited; 0 if none waits.',
    value: ({ statistics }) => statistics.oldestMs.wait / 1000,
  },
  {
    name: 'locktopus_oldest_hold_seconds',
    type: 'gauge',
    help: 'How long the lock that has been held longest has been held; 0 if none is held.',
    value: ({ statistics }) => statistics.oldestMs.hold / 1000,
  },
  {
    name: 'locktopus_namespaces',
    type: 'gauge',
    help: 'Namespaces in use.',
    value: ({ statistics }) => statistics.namespaces,
  },
  {
    name: 'locktopus_paths',
    type: 'gauge',
    help: 'Paths in use, with all their prefixes.',
    value: ({ statistics }) => statistics.paths,
  },
  {
    name: 'locktopus_event_loop_stalls_total',
    type: 'counter',
    help: 'How often the event loop was blocked for longer than --stall-threshold.',
    value: ({ stalls }) => stalls,
  },
  {
    name: 'locktopus_connections_accepted_total',
    type: 'counter',
    help: 'Connections accepted, those that were rejected then included.',
    value: ({ connectionsTotal }) => connectionsTotal,
  },
  {
    name: 'locktopus_clients_total',
    type: 'counter',
    label: 'kind',
    help: 'Connections that spoke a protocol: lines, websocket.',
    values: ({ clientsTotal }) => clientsTotal,
  },
  {
    name: 'locktopus_sessions_resumed_total',
    type: 'counter',
    help: 'How often a session was resumed on another connection.',
    value: ({ counters }) => counters.sessionsResumed,
  },
  {
    name: 'locktopus_sessions_abandoned_total',
    type: 'counter',
    help: 'Sessions that were lost and not resumed within their abandon timeout.',
    value: ({ counters }) => counters.sessionsAbandoned,
  },
  {
    name: 'locktopus_locks_requested_total',
    type: 'counter',
    help: 'Lock requests; a retry for an unreleased lock does not count.',
    value: ({ counters }) => counters.locksRequested,
  },
  {
    name: 'locktopus_locks_acquired_total',
    type: 'counter',
    help: 'Locks acquired, at once or after a wait.',
    value: ({ counters }) => counters.locksAcquired,
  },
  {
    name: 'locktopus_locks_missed_total',
    type: 'counter',
    help: 'Lock requests with waitMs 0 that ended in timeout.',
    value: ({ counters }) => counters.locksMissed,
  },
  {
    name: 'locktopus_locks_ended_total',
    type: 'counter',
    label: 'cause',
    help: 'Locks, held or waiting, that ended: released, timeout, expired, evicted, ended (by bye or the end of the server), lost (it waited in a session without a name), abandoned, draining.',
    values: ({ counters }) => counters.locksEnded,
  },
  {
    name: 'locktopus_errors_total',
    type: 'counter',
    label: 'code',
    help: 'Error replies of the session protocol, and connections rejected over HTTP, by code; only codes that have occurred.',
    values: ({ counters }) => Object.fromEntries(counters.errors),
  },
  {
    name: 'locktopus_auth_failures_total',
    type: 'counter',
    label: 'reason',
    help: 'Failed authentications on all transports: no_token, wrong_token, tls_handshake (the TLS handshake failed). Counted per request over HTTP, and on lines per connection whose first message was JSON.',
    values: ({ counters }) => counters.authFailures,
  },
  {
    name: 'locktopus_rejected_requests_total',
    type: 'counter',
    label: 'header',
    help: 'HTTP requests and handshakes rejected because a header is not allowed: host, origin.',
    values: ({ counters }) => counters.rejectedRequests,
  },
  {
    name: 'locktopus_lock_wait_seconds',
    type: 'histogram',
    help: 'Waiting time of locks that were enqueued and then acquired.',
    histogram: ({ counters }) => counters.waits,
  },
  {
    name: 'locktopus_lock_hold_seconds',
    type: 'histogram',
    help: 'How long locks were held, of those that are held no more.',
    histogram: ({ counters }) => counters.holds,
  },
  ...STORE_METRICS,
  ...OWNERSHIP_METRICS,
  ...PROCESS_METRICS,
];
