/** /metrics: well-formed, and the numbers are those of what happened. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import type { MetricsSnapshot } from '../../../src/net/http/metric.ts';
import { METRICS } from '../../../src/net/http/metrics.ts';
import { formatFor, metricsText } from '../../../src/net/http/metrics-text.ts';
import { Histogram } from '../../../src/runtime/histogram.ts';
import { processFigures } from '../../../src/runtime/process-figures.ts';
import type { ServerOptions } from '../../../src/server-options.ts';
import { Counters, WAIT_BUCKETS_MS } from '../../../src/session/counters.ts';
import { Namespaces } from '../../../src/session/namespace.ts';
import { statisticsOf } from '../../../src/session/statistics.ts';
import { ask } from '../../support/http-client.ts';
import { lock, read, write } from '../../support/line-client.ts';
import { setUp as setUpLines } from '../../support/line-server.ts';
import { parseOpenMetrics, parsePrometheus } from '../../support/prometheus-text.ts';
import { V1Client } from '../../support/v1-client.ts';

/** Where the numbers of these tests begin; the others keep their whole names. */
const PREFIX = /^locktopus_/;
/** Not on every system. */
const SOME =
  /^(locktopus_(store|owner|takeovers|etcd)|process_open_fds|process_max_fds|nodejs_eventloop_lag)/;

async function setUp(t: TestContext, options: ServerOptions = {}) {
  const lines = await setUpLines(t, options);
  const { port } = lines.server.address;
  /** Each sample by its name and labels, without the common beginning. */
  const samples = async () => {
    const { body } = await ask(port, '/metrics');
    return new Map(
      [...parsePrometheus(body)].flatMap(([name, family]) =>
        [...family.samples].map(([rest, value]) => [`${name}${rest}`.replace(PREFIX, ''), value]),
      ),
    );
  };
  return { ...lines, port, samples };
}

test('the page is in the Prometheus text format, and has the metrics of the table', async (t) => {
  const { clock, port, connect } = await setUp(t);
  const [a, b] = [await connect(), await connect()];
  await a.ask({ action: 'fly' });
  await a.ask(lock(write('a')));
  await b.ask(lock(write('a')));
  clock.advance(7);
  await a.ask({ action: 'release' });
  await b.next();
  const { status, headers, body } = await ask(port, '/metrics');
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  assert.deepEqual(
    [...parsePrometheus(body)]
      .filter(([name]) => !SOME.test(name))
      .map(([name, { type, help }]) => ({ name, type, help })),
    METRICS.filter(({ name }) => !SOME.test(name)).map(({ name, type, help }) => ({
      name,
      type,
      help,
    })),
  );
});

test('the process and its Node are there, as the system and Node see them', async (t) => {
  const { samples } = await setUp(t);
  const before = process.cpuUsage();
  const seen = await samples();
  const value = (name: string): number => seen.get(name) ?? assert.fail(name);
  assert.ok(value('process_cpu_user_seconds_total') >= before.user / 1e6);
  assert.equal(
    value('process_cpu_seconds_total'),
    value('process_cpu_user_seconds_total') + value('process_cpu_system_seconds_total'),
  );
  assert.equal(value('process_start_time_seconds'), performance.timeOrigin / 1000);
  assert.ok(value('process_resident_memory_bytes') > value('nodejs_heap_size_used_bytes'));
  const [major, minor, patch] = process.versions.node.split('.');
  const labels = `version="${process.version}",major="${major}",minor="${minor}",patch="${patch}"`;
  assert.equal(value(`nodejs_version_info{${labels}}`), 1);
  if (process.platform !== 'linux') return;
  assert.equal(value('process_max_fds'), Number(execFileSync('sh', ['-c', 'ulimit -n'])));
  const open = seen.get('process_open_fds');
  if (open === undefined) return;
  // Far more than the sockets of other tests that may close meanwhile.
  const files = Array.from({ length: 500 }, () => openSync('/dev/null', 'r'));
  const more = (await samples()).get('process_open_fds') ?? 0;
  for (const file of files) closeSync(file);
  assert.ok(open >= 3 && more >= open + 400 && more <= open + 600, `${open}, then ${more}`);
});

test('who asks for OpenMetrics gets the same numbers in that format', async (t) => {
  // Without the lag of the loop, which may be measured between the two pages.
  const { port, connect } = await setUp(t, { stallThresholdMs: 0 });
  await (await connect()).ask(lock(write('a')));
  // As Prometheus asks.
  const accept =
    'application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';
  const { headers, body } = await ask(port, '/metrics', { headers: { accept } });
  assert.equal(
    headers['content-type'],
    'application/openmetrics-text; version=1.0.0; charset=utf-8',
  );
  const families = parseOpenMetrics(body);
  assert.equal(families.get('locktopus_locks_requested')?.samples.get('_total'), 1);
  const usual = parsePrometheus((await ask(port, '/metrics')).body);
  assert.deepEqual(
    [...families].map(([name, { type }]) => (type === 'counter' ? `${name}_total` : name)),
    [...usual.keys()],
  );
});

test('every metric is well-formed in both formats, those of the store, the owner and the loop too', () => {
  const histogram = new Histogram([1, 1000]);
  histogram.add(2);
  const counters = new Counters();
  counters.countError('bad_json');
  const snapshot: MetricsSnapshot = {
    ...{ counters, isDraining: false, stalls: 1, process: processFigures() },
    connections: { lines: 1, websocket: 2, other: 3 },
    connectionsTotal: 4,
    clientsTotal: { lines: 1, websocket: 2 },
    statistics: statisticsOf(new Namespaces(() => 1, 1), 0),
    ownership: { isOwner: true, proofAgeMs: 1, takeovers: 2, retries: 3 },
    loopLag: { latest: 1, min: 0, max: 2, mean: 1, stddev: 0.5, p50: 1, p90: 2, p99: 2 },
    store: {
      ...{ commits: histogram, records: 1, bytesWritten: 2, bytes: 3, heldBackBytes: 4 },
      recovered: { sessions: 5, locks: 6 },
    },
  };
  const names = METRICS.map(({ name }) => name).filter((name) => !name.endsWith('_fds'));
  const usual = parsePrometheus(metricsText(snapshot, 'prometheus'));
  const open = parseOpenMetrics(metricsText(snapshot, 'openmetrics'));
  for (const name of names) assert.ok(usual.has(name), name);
  assert.equal(open.size, usual.size);
  assert.equal(usual.get('nodejs_eventloop_lag_max_seconds')?.samples.get(''), 0.002);
  assert.equal(open.get('locktopus_store_commit_seconds')?.samples.get('_bucket{le="1.0"}'), 1);
});

test('OpenMetrics must be asked for, and not after plain text', () => {
  for (const [accept, format] of [
    [undefined, 'prometheus'],
    ['', 'prometheus'],
    ['*/*', 'prometheus'],
    ['text/html, application/xhtml+xml', 'prometheus'],
    ['application/openmetrics-text', 'openmetrics'],
    ['Application/OpenMetrics-Text; Version=1.0.0; Q=0.1, */*', 'openmetrics'],
    ['application/openmetrics-text;q=0', 'prometheus'],
    ['application/openmetrics-text;q=x', 'prometheus'],
    ['application/openmetrics-text;q=0.2,text/plain;q=0.3', 'prometheus'],
    ['text/plain;q=0.3;version=0.0.4 , application/openmetrics-text;q=0.3', 'openmetrics'],
  ] as const) {
    assert.equal(formatFor(accept), format, accept);
  }
});

const HEAD_OF_A = '# HELP a A.\n# TYPE a gauge\n';
const HEAD_OF_H = '# HELP h H.\n# TYPE h histogram\n';
const MALFORMED: Readonly<Record<string, string>> = {
  'no LF at the end': `${HEAD_OF_A}a 1`,
  'a second HELP': `${HEAD_OF_A}a 1\n${HEAD_OF_A}`,
  'a second TYPE': `${HEAD_OF_A}# TYPE a gauge\na 1\n`,
  'TYPE after a sample': '# HELP a A.\na 1\n# TYPE a gauge\n',
  'no TYPE': '# HELP a A.\na 1\n',
  'no head': 'a 1\n',
  "another family's sample": `${HEAD_OF_A}b 1\n`,
  'a sample twice': `${HEAD_OF_A}a{b="c"} 1\na{b="c"} 2\n`,
  'a label without quotes': `${HEAD_OF_A}a{b=c} 1\n`,
  'no number': `${HEAD_OF_A}a undefined\n`,
  'a counter without _total': '# HELP a A.\n# TYPE a counter\na 1\n',
  'an empty line': `${HEAD_OF_A}\na 1\n`,
  'buckets that fall': `${HEAD_OF_H}h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`,
  'bounds that fall': `${HEAD_OF_H}h_bucket{le="2"} 1\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`,
  'no last bucket': `${HEAD_OF_H}h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n`,
  'another count': `${HEAD_OF_H}h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n`,
  'no sum': `${HEAD_OF_H}h_bucket{le="+Inf"} 1\nh_count 1\n`,
};

const HEAD_OF_C = '# HELP c C.\n# TYPE c counter\n';
const NOT_OPEN: Readonly<Record<string, string>> = {
  'no EOF': `${HEAD_OF_A}a 1\n`,
  'more after EOF': `${HEAD_OF_A}a 1\n# EOF\nb 1\n`,
  'a counter without _total': `${HEAD_OF_C}c 1\n# EOF\n`,
  '_total in the name of the family':
    '# HELP c_total C.\n# TYPE c_total counter\nc_total 1\n# EOF\n',
  'a family twice': `${HEAD_OF_C}c_total 1\n# HELP c C.\n# TYPE c gauge\nc 1\n# EOF\n`,
  'a unit that is not in the name': `${HEAD_OF_A}# UNIT a bytes\na 1\n# EOF\n`,
  'a unit that is left out': '# HELP a_bytes A.\n# TYPE a_bytes gauge\na_bytes 1\n# EOF\n',
  'a bound that is no float': `${HEAD_OF_H}h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n# EOF\n`,
};

for (const [what, page] of Object.entries(NOT_OPEN)) {
  test(`the parser of OpenMetrics rejects ${what}`, () => {
    assert.throws(() => parseOpenMetrics(page), assert.AssertionError);
  });
}

for (const [what, page] of Object.entries(MALFORMED)) {
  test(`the parser of these tests rejects ${what}`, () => {
    assert.throws(() => parsePrometheus(page), assert.AssertionError);
  });
}

test('locks are counted from request to end, by cause', async (t) => {
  const { clock, samples, greet, cut } = await setUp(t);
  const { client: a } = await greet();
  const { client: b } = await greet({ abandonTimeoutMs: 100 });
  await a.ask({ ...lock(write('a')), ref: 1 });
  await a.ask({ ...lock(write('a')), ref: 1 });
  await b.ask({ ...lock(write('a')), waitMs: 0 });
  await b.ask({ ...lock(write('a')), waitMs: 30 });
  clock.advance(30);
  await b.next();
  await b.ask({ ...lock(read('b')), holdMs: 40 });
  clock.advance(40);
  await b.next();
  await b.ask({ ...lock(write('a')), ref: 2 });
  await cut(b);
  const before = await samples();
  assert.deepEqual(
    [before.get('sessions{state="open"}'), before.get('sessions{state="lost"}')],
    [1, 1],
  );
  assert.deepEqual(
    [before.get('locks{state="acquired"}'), before.get('locks{state="enqueued"}')],
    [1, 1],
  );
  clock.advance(100);
  assert.equal(before.get('oldest_hold_seconds'), 0.07);
  assert.equal((await samples()).get('oldest_hold_seconds'), 0.17);
  await a.ask({ action: 'release' });
  await a.ask({ action: 'release' });
  const after = await samples();
  const expected = {
    locks_requested_total: 5,
    locks_acquired_total: 2,
    locks_missed_total: 1,
    'locks_ended_total{cause="released"}': 1,
    'locks_ended_total{cause="timeout"}': 1,
    'locks_ended_total{cause="expired"}': 1,
    'locks_ended_total{cause="abandoned"}': 1,
    lock_hold_seconds_count: 2,
    lock_hold_seconds_sum: 0.21,
    'errors_total{code="no_such_lock"}': 1,
    'locks{state="acquired"}': 0,
    'locks{state="enqueued"}': 0,
    paths: 0,
    namespaces: 1,
    draining: 0,
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(after.get(name), value, name);
});

test('sessions are counted that are resumed and abandoned, but not those that had nothing', async (t) => {
  const { clock, samples, connect, greet, cut } = await setUp(t);
  const { client, session } = await greet({ abandonTimeoutMs: 100 });
  await cut(client);
  const again = await connect();
  await again.ask({ action: 'hello', session });
  await cut(again);
  clock.advance(100);
  const { client: atOnce } = await greet({ abandonTimeoutMs: 0 });
  await cut(atOnce);
  const nameless = await connect();
  await nameless.ask({ action: 'ping' });
  await cut(nameless);
  const seen = await samples();
  assert.equal(seen.get('sessions_resumed_total'), 1);
  assert.equal(seen.get('sessions_abandoned_total'), 2);
});

test('requests are counted that are rejected for their Host or Origin, and told to the log', async (t) => {
  const rejected: string[] = [];
  const { port, samples } = await setUp(t, {
    headerObserver: ({ header, why }, client) => rejected.push(`${header} ${client}: ${why}`),
  });
  await ask(port, '/', { headers: { origin: 'https://evil.example' } });
  await ask(port, '/', { headers: { host: 'evil.example' } });
  await ask(port, '/', { headers: { host: 'no name' } });
  await ask(port, '/livez', { headers: { host: 'evil.example' } });
  const seen = await samples();
  assert.equal(seen.get('rejected_requests_total{header="origin"}'), 1);
  assert.equal(seen.get('rejected_requests_total{header="host"}'), 2);
  assert.match(
    rejected.join('\n'),
    /^origin 127\.0\.0\.1:\d+: Origin .* --allow-origin "https:\/\/evil\.example"\.\nhost .* --allow-host "evil\.example"\.$/,
  );
});

test('connections are counted by what they speak', async (t) => {
  const { port, samples, connect, watch } = await setUp(t);
  const client = await connect();
  await client.ask({ action: 'ping' });
  const websocket = await V1Client.connect(t, port);
  const before = await samples();
  assert.equal(before.get('connections{kind="lines"}'), 1);
  assert.equal(before.get('connections{kind="websocket"}'), 1);
  assert.equal(before.get('connections{kind="other"}'), 1, 'the question itself');
  assert.equal(before.get('connections_accepted_total'), 3);
  websocket.socket.close();
  client.socket.end();
  await watch.until('disconnected', 2);
  const after = await samples();
  assert.equal(after.get('connections{kind="lines"}'), 0);
  assert.equal(after.get('connections{kind="websocket"}'), 0);
  assert.equal(after.get('clients_total{kind="lines"}'), 1);
  assert.equal(after.get('clients_total{kind="websocket"}'), 1);
});

test('each wait is in the bucket of its time and in all above', async (t) => {
  const { clock, samples, connect } = await setUp(t);
  const a = await connect();
  const b = await connect();
  const longest = WAIT_BUCKETS_MS.at(-1) ?? 0;
  for (const waitedMs of [0, 1, 2, 1000, longest + 1]) {
    await a.ask(lock(write('a')));
    await b.ask(lock(write('a')));
    clock.advance(waitedMs);
    await a.ask({ action: 'release' });
    await b.next();
    await b.ask({ action: 'release' });
  }
  const seen = await samples();
  const bucket = (le: string) => seen.get(`lock_wait_seconds_bucket{le="${le}"}`);
  assert.deepEqual(
    [bucket('0.001'), bucket('0.005'), bucket('0.5'), bucket('1'), bucket('300'), bucket('+Inf')],
    [2, 3, 3, 4, 4, 5],
  );
  assert.equal(seen.get('lock_wait_seconds_count'), 5);
  assert.equal(seen.get('lock_wait_seconds_sum'), (1 + 2 + 1000 + longest + 1) / 1000);
});
