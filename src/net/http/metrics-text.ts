/**
 * The page of metrics, made from their table, in the text format that the scraper asks for:
 * Prometheus (version 0.0.4) or OpenMetrics (1.0.0). Pure: numbers in, text out.
 */
import type { Histogram } from '../../runtime/histogram.ts';
import type { Metric, MetricsSnapshot } from './metric.ts';
import { METRICS } from './metrics.ts';

export type MetricsFormat = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<MetricsFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** @param accept the Accept header; OpenMetrics must be asked for, and not after plain text */
export function formatFor(accept: string = ''): MetricsFormat {
  const wish = (type: string): number =>
    Math.max(0, ...rangesOf(accept).map((range) => (range.type === type ? range.quality : 0)));
  const openMetrics = wish('application/openmetrics-text');
  return openMetrics > 0 && openMetrics >= wish('text/plain') ? 'openmetrics' : 'prometheus';
}

function rangesOf(accept: string): { readonly type: string; readonly quality: number }[] {
  return accept.split(',').map((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const quality = parameters.find((parameter) => parameter.startsWith('q='));
    return { type, quality: quality === undefined ? 1 : Number(quality.slice('q='.length)) || 0 };
  });
}

export function metricsText(snapshot: MetricsSnapshot, format: MetricsFormat): string {
  const families = METRICS.map((metric) => {
    const samples = samplesOf(metric, snapshot, format);
    if (samples === undefined) return '';
    const { name } = metric;
    const lines = samples.map(([rest, value]) => `${name}${rest} ${value}\n`);
    return headOf(metric, format) + lines.join('');
  });
  return families.join('') + (format === 'openmetrics' ? '# EOF\n' : '');
}

/** In OpenMetrics a counter is named without `_total`, which its sample has, and units stand apart. */
function headOf({ name, type, help }: Metric, format: MetricsFormat): string {
  const isOpen = format === 'openmetrics';
  const family = isOpen && type === 'counter' ? name.slice(0, -'_total'.length) : name;
  const [, unit] = (isOpen && /_(seconds|bytes)$/.exec(family)) || [];
  const unitLine = unit === undefined ? '' : `# UNIT ${family} ${unit}\n`;
  return `# HELP ${family} ${help}\n# TYPE ${family} ${type}\n${unitLine}`;
}

type Sample = readonly [rest: string, value: number];

/** The samples of a metric: the suffix or labels that follow its name, and the value. */
function samplesOf(
  metric: Metric,
  snapshot: MetricsSnapshot,
  format: MetricsFormat,
): readonly Sample[] | undefined {
  if ('value' in metric) {
    const value = metric.value(snapshot);
    return value === undefined ? undefined : [['', value]];
  }
  if ('histogram' in metric) {
    const histogram = metric.histogram(snapshot);
    return histogram && histogramSamples(histogram, format);
  }
  if ('labels' in metric) return [[labelText(metric.labels), 1]];
  const { label } = metric;
  const values = metric.values(snapshot);
  return values && Object.entries(values).map(([of, value]) => [labelText({ [label]: of }), value]);
}

/** Label values must need no escaping. */
function labelText(labels: Readonly<Record<string, string>>): string {
  return `{${Object.entries(labels)
    .map(([label, value]) => `${label}="${value}"`)
    .join()}}`;
}

function histogramSamples(
  { boundsMs, counts, count, sumMs }: Histogram,
  format: MetricsFormat,
): readonly Sample[] {
  let soFar = 0;
  const buckets = Array.from(counts, (inBucket, i): Sample => {
    soFar += inBucket;
    return [`_bucket{le="${boundText(boundsMs[i], format)}"}`, soFar];
  });
  return [...buckets, ['_sum', sumMs / 1000], ['_count', count]];
}

/** In OpenMetrics the bound is a float to the eye, too, since it names the series. */
function boundText(boundMs: number | undefined, format: MetricsFormat): string {
  if (boundMs === undefined) return '+Inf';
  const bound = boundMs / 1000;
  return format === 'openmetrics' && Number.isInteger(bound) ? `${bound}.0` : `${bound}`;
}
