/**
 * Metrics that every process and every Node has, by the names of Prometheus' own client libraries,
 * which dashboards and alerts know.
 */
import type { LoopLag } from '../../runtime/stall-meter.ts';
import type { Metric } from './metric.ts';

const [MAJOR = '', MINOR = '', PATCH = ''] = process.versions.node.split('.');

/** The names and meanings are those of prom-client; the lag is over the last minute of activity. */
export const PROCESS_METRICS: readonly Metric[] = [
  {
    name: 'process_cpu_user_seconds_total',
    type: 'counter',
    help: 'CPU time spent in the process itself.',
    value: ({ process: { userCpuSeconds } }) => userCpuSeconds,
  },
  {
    name: 'process_cpu_system_seconds_total',
    type: 'counter',
    help: 'CPU time that the system spent for the process.',
    value: ({ process: { systemCpuSeconds } }) => systemCpuSeconds,
  },
  {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    help: 'The sum of the two.',
    value: ({ process: { userCpuSeconds, systemCpuSeconds } }) => userCpuSeconds + systemCpuSeconds,
  },
  {
    name: 'process_start_time_seconds',
    type: 'gauge',
    help: 'When the process started, in seconds since 1970.',
    value: ({ process: { startSeconds } }) => startSeconds,
  },
  {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    help: 'Memory of the process.',
    value: ({ process: { residentBytes } }) => residentBytes,
  },
  {
    name: 'process_open_fds',
    type: 'gauge',
    help: 'Open files, connections included; absent where the system does not count them (Linux does since 6.2).',
    value: ({ process: { openFiles } }) => openFiles,
  },
  {
    name: 'process_max_fds',
    type: 'gauge',
    help: 'How many files may be open; absent on systems other than Linux.',
    value: ({ process: { maxOpenFiles } }) => maxOpenFiles,
  },
  {
    name: 'nodejs_version_info',
    type: 'gauge',
    labels: { version: process.version, major: MAJOR, minor: MINOR, patch: PATCH },
    help: 'Always 1; the labels are the version of Node.',
  },
  {
    name: 'nodejs_heap_size_total_bytes',
    type: 'gauge',
    help: "Size of the engine's heap.",
    value: ({ process: { heapTotalBytes } }) => heapTotalBytes,
  },
  {
    name: 'nodejs_heap_size_used_bytes',
    type: 'gauge',
    help: 'Used part of the heap.',
    value: ({ process: { heapUsedBytes } }) => heapUsedBytes,
  },
  {
    name: 'nodejs_external_memory_bytes',
    type: 'gauge',
    help: 'Memory outside the heap that belongs to objects in it.',
    value: ({ process: { externalBytes } }) => externalBytes,
  },
  lag('', 'latest', 'How late the event loop was when it was last measured'),
  lag('_min', 'min', 'The least of that in the last minute of activity'),
  lag('_max', 'max', 'The most of that in the last minute of activity'),
  lag('_mean', 'mean', 'The mean of that over the last minute of activity'),
  lag('_stddev', 'stddev', 'The standard deviation of that over the last minute of activity'),
  lag('_p50', 'p50', 'The 50th percentile of that over the last minute of activity'),
  lag('_p90', 'p90', 'The 90th percentile of that over the last minute of activity'),
  lag('_p99', 'p99', 'The 99th percentile of that over the last minute of activity'),
];

function lag(part: string, key: keyof LoopLag, help: string): Metric {
  return {
    name: `nodejs_eventloop_lag${part}_seconds`,
    type: 'gauge',
    help: `${help}; absent with --stall-threshold 0.`,
    value: ({ loopLag }) => loopLag && loopLag[key] / 1000,
  };
}
