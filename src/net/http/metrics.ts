/**
 * The numbers of a server in the Prometheus text format (version 0.0.4). Pure: numbers in, text out.
 * Names begin with `locktopus_`, units are seconds and bytes, what only rises ends in `_total`.
 */

import { type Counters, WAIT_BUCKETS_MS } from '../../session/counters.ts';
import type { Statistics } from '../../session/statistics.ts';
import { VERSION } from '../../version.ts';

/** How a server stands at the moment of the question. */
export interface MetricsSnapshot {
  readonly counters: Counters;
  /** Open connections, by what they speak; `other` are HTTP and those that have yet to speak. */
  readonly connections: Readonly<Record<'lines' | 'websocket' | 'other', number>>;
  /** All connections there have been. */
  readonly connectionsTotal: number;
  /** All clients of the protocols there have been. */
  readonly clientsTotal: Readonly<Record<'lines' | 'websocket', number>>;
  readonly statistics: Statistics;
  readonly isDraining: boolean;
  readonly uptimeMs: number;
  readonly stalls: { readonly count: number; readonly maxMs: number };
  readonly memoryBytes: Readonly<Record<'rss' | 'heap_total' | 'heap_used' | 'external', number>>;
}

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labelled = Readonly<Record<string, number>>;

export function metricsText(snapshot: MetricsSnapshot): string {
  return [...gauges(snapshot), ...counters(snapshot), ...waits(snapshot)].join('\n');
}

function gauges(snapshot: MetricsSnapshot): string[] {
  const { connections, statistics, memoryBytes, stalls } = snapshot;
  const { sessions, locks, namespaces, paths } = statistics;
  return [
    head('info', 'gauge', 'Always 1; tells the version.'),
    line(`info{version="${VERSION}"}`, 1),
    ...one('uptime_seconds', 'gauge', 'Time since the start.', snapshot.uptimeMs / 1000),
    ...one('draining', 'gauge', '1 while the server drains.', snapshot.isDraining ? 1 : 0),
    ...some('connections', 'gauge', 'Open connections.', 'kind', connections),
    ...some('sessions', 'gauge', 'Sessions; lost ones may be resumed.', 'state', sessions),
    ...some('locks', 'gauge', 'Locks that are held and that wait.', 'state', locks),
    ...one('namespaces', 'gauge', 'Namespaces in use.', namespaces),
    ...one('paths', 'gauge', 'Paths in use, with their beginnings.', paths),
    ...some('memory_bytes', 'gauge', 'Memory of the process.', 'kind', memoryBytes),
    ...one(
      'event_loop_stall_max_seconds',
      'gauge',
      'Longest stall of the event loop since the start.',
      stalls.maxMs / 1000,
    ),
  ];
}

function counters({ counters, connectionsTotal, clientsTotal, stalls }: MetricsSnapshot): string[] {
  const refusals = Object.fromEntries(counters.errors);
  return [
    ...one('connections_total', 'counter', 'Connections so far.', connectionsTotal),
    ...some('clients_total', 'counter', 'Clients of the protocols so far.', 'kind', clientsTotal),
    ...one('locks_requested_total', 'counter', 'Lock requests.', counters.locksRequested),
    ...one('locks_acquired_total', 'counter', 'Locks acquired.', counters.locksAcquired),
    ...one(
      'locks_missed_total',
      'counter',
      'Lock requests with waitMs 0 that found something in their way.',
      counters.locksMissed,
    ),
    ...some(
      'locks_ended_total',
      'counter',
      'Locks that were released or left the queue.',
      'cause',
      counters.locksEnded,
    ),
    ...some('refusals_total', 'counter', 'Errors told to clients.', 'code', refusals),
    ...some('strangers_total', 'counter', 'Visitors not let in.', 'cause', {
      ...counters.authFailures,
    }),
    ...one(
      'event_loop_stalls_total',
      'counter',
      'Stalls of the event loop over the threshold.',
      stalls.count,
    ),
  ];
}

function waits({ counters: { waits } }: MetricsSnapshot): string[] {
  const rows: string[] = [];
  let soFar = 0;
  for (const [i, count] of waits.counts.entries()) {
    soFar += count;
    const bound = WAIT_BUCKETS_MS[i];
    const le = bound === undefined ? '+Inf' : bound / 1000;
    rows.push(line(`lock_wait_seconds_bucket{le="${le}"}`, soFar));
  }
  return [
    head('lock_wait_seconds', 'histogram', 'How long enqueued locks waited to be acquired.'),
    ...rows,
    line('lock_wait_seconds_sum', waits.sumMs / 1000),
    line('lock_wait_seconds_count', waits.count),
    '',
  ];
}

function head(name: string, type: string, help: string): string {
  return `# HELP locktopus_${name} ${help}\n# TYPE locktopus_${name} ${type}`;
}

function line(name: string, value: number): string {
  return `locktopus_${name} ${value}`;
}

function one(name: string, type: string, help: string, value: number): string[] {
  return [head(name, type, help), line(name, value)];
}

/** One line for each of `values`, under the label `label`. Their names need no escaping. */
function some(name: string, type: string, help: string, label: string, values: Labelled): string[] {
  const rows = Object.entries(values).map(([of, value]) =>
    line(`${name}{${label}="${of}"}`, value),
  );
  return [head(name, type, help), ...rows];
}
