/**
 * Strict parsers of the Prometheus text format 0.0.4 and of OpenMetrics 1.0.0: they fail on all that
 * a scraper refuses, or reads in another way than intended.
 */
import assert from 'node:assert/strict';

export interface Family {
  readonly help: string;
  readonly type: string;
  /** Values by the part of the sample after the family's name: `{kind="lines"}`, `_count`. */
  readonly samples: ReadonlyMap<string, number>;
}

const HEAD = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/;
const LABEL = String.raw`[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\[\\"n])*"`;
const SAMPLE = new RegExp(
  String.raw`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{${LABEL}(?:,${LABEL})*\})? (\S+)$`,
);
const VALUE = /^(?:[+-]?Inf|NaN|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)$/;
const TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped'];

/** The families of a page in the Prometheus text format, by their names. */
export function parsePrometheus(page: string): Map<string, Family> {
  const families = parse(page, { histogram: HISTOGRAM });
  for (const [name, { type }] of families) {
    assert.equal(name.endsWith('_total'), type === 'counter', `${name} is a ${type}`);
  }
  return families;
}

const UNIT = /^# UNIT (\S+) (\S+)\n/gm;
const END = '# EOF\n';

/** The same of an OpenMetrics page. A counter's samples are `_total` then. */
export function parseOpenMetrics(page: string): Map<string, Family> {
  assert.ok(page.endsWith(`\n${END}`), 'it ends with EOF');
  const units = [...page.matchAll(UNIT)];
  const rest = page.slice(0, -END.length).replaceAll(UNIT, '');
  const families = parse(rest, { histogram: HISTOGRAM, counter: ['_total'] });
  for (const [name, { help, type, samples }] of families) {
    assert.ok(!name.endsWith('_total'), `${name} is the name of a family`);
    assert.doesNotMatch(help, /"/, 'quotes are escaped');
    const own = units.filter(([, of]) => of === name).map(([, , unit]) => unit);
    const [unit] = /(seconds|bytes)$/.exec(name) ?? [];
    assert.deepEqual(own, unit === undefined ? [] : [unit], `the unit of ${name}`);
    if (type !== 'histogram') continue;
    for (const key of samples.keys()) assert.doesNotMatch(key, /le="\d+"/, 'bounds are floats');
  }
  assert.ok(units.every(([, of = '']) => families.has(of)));
  return families;
}

const HISTOGRAM = ['_bucket', '_sum', '_count'];

/** @param suffixesOf those of the samples, by type; none for others */
function parse(page: string, suffixesOf: Record<string, string[]>): Map<string, Family> {
  const families = new Map<string, { help: string; type: string; samples: Map<string, number> }>();
  assert.ok(page.endsWith('\n'), 'the last line ends with LF');
  let current = '';
  for (const row of page.slice(0, -1).split('\n')) {
    const [, keyword, name = '', text = ''] = HEAD.exec(row) ?? [];
    if (keyword === 'HELP') {
      assert.ok(!families.has(name), `${name} has one HELP, before all else`);
      assert.match(text, /^(?:[^\\]|\\[\\n])*$/, 'backslashes are escaped');
      families.set(name, { help: text, type: '', samples: new Map() });
      current = name;
    } else if (keyword === 'TYPE') {
      const family = families.get(name) ?? assert.fail(`HELP of ${name} before its TYPE`);
      assert.ok(name === current && family.type === '', `${name} has one TYPE, after its HELP`);
      assert.equal(family.samples.size, 0, `TYPE of ${name} before its samples`);
      assert.ok(TYPES.includes(text), row);
      family.type = text;
    } else {
      const [, sample = '', labels = '', value = ''] = SAMPLE.exec(row) ?? assert.fail(row);
      const { samples, type } = families.get(current) ?? assert.fail(`no head before ${row}`);
      const suffix = sample.startsWith(current) ? sample.slice(current.length) : undefined;
      const suffixes = suffixesOf[type] ?? [''];
      assert.ok(suffixes.includes(suffix ?? '?'), `${row} belongs to ${current}`);
      assert.ok(!samples.has(`${suffix}${labels}`), `${row} occurs once`);
      assert.match(value, VALUE, row);
      samples.set(`${suffix}${labels}`, Number(value));
    }
  }
  for (const [name, family] of families) checkFamily(name, family);
  return families;
}

function checkFamily(name: string, { type, samples }: Family): void {
  assert.notEqual(type, '', `${name} has a TYPE`);
  if (type === 'counter') {
    for (const [rest, value] of samples) assert.ok(value >= 0, `${name}${rest} is not negative`);
  }
  if (type !== 'histogram') return;
  let bound = Number.NEGATIVE_INFINITY;
  let count = 0;
  for (const [rest, value] of samples) {
    const [, le] = /^_bucket\{le="(.*)"\}$/.exec(rest) ?? [];
    if (le === undefined) continue;
    const next = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le);
    assert.ok(next > bound, `${name}: the bounds of the buckets rise`);
    assert.ok(value >= count, `${name}: the buckets are cumulative`);
    [bound, count] = [next, value];
  }
  assert.equal(bound, Number.POSITIVE_INFINITY, `${name}: the last bucket is +Inf`);
  assert.equal(samples.get('_count'), count, `${name}: the last bucket has all`);
  assert.ok(samples.has('_sum'), `${name} has a sum`);
}
