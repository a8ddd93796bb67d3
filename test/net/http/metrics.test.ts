/** /metrics: well-formed, and the numbers are those of what happened. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { WAIT_BUCKETS_MS } from '../../../src/session/counters.ts';
import { ask } from '../../support/http-client.ts';
import { lock, read, write } from '../../support/line-client.ts';
import { setUp as setUpLines } from '../../support/line-server.ts';
import { V1Client } from '../../support/v1-client.ts';

async function setUp(t: TestContext) {
  const lines = await setUpLines(t);
  const { port } = lines.server.address;
  /** Each sample by its name and labels, without the common beginning. */
  const samples = async () => {
    const { body } = await ask(port, '/metrics');
    const rows = body.split('\n').filter((row) => row !== '' && !row.startsWith('#'));
    return new Map(
      rows.map((row) => {
        const [name = '', value] = row.split(' ');
        return [name.replace('locktopus_', ''), Number(value)];
      }),
    );
  };
  return { ...lines, port, samples };
}

test('the format is that of Prometheus: a head for each name, then its samples', async (t) => {
  const { port, greet } = await setUp(t);
  const { client } = await greet();
  await client.ask({ action: 'fly' });
  const { status, headers, body } = await ask(port, '/metrics');
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  assert.ok(body.endsWith('\n') && !body.endsWith('\n\n'));
  let current = '';
  const seen = new Set<string>();
  for (const row of body.trimEnd().split('\n')) {
    const help = /^# HELP (locktopus_[a-z_]+) \S.*\.$/.exec(row)?.[1];
    if (help !== undefined) {
      assert.ok(!seen.has(help), `${help} has one head`);
      seen.add(help);
      current = help;
    } else if (row.startsWith('#')) {
      assert.match(row, new RegExp(`^# TYPE ${current} (gauge|counter|histogram)$`));
      assert.equal(row.endsWith('counter'), current.endsWith('_total'), row);
    } else {
      const sample = /^([a-z_]+)(\{[a-z]+="[^"\\]*"\})? \d+(\.\d+)?(e[+-]\d+)?$/.exec(row);
      assert.ok(sample?.[1]?.startsWith(current), row);
    }
  }
});

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
    'refusals_total{code="no_such_lock"}': 1,
    'locks{state="acquired"}': 0,
    'locks{state="enqueued"}': 0,
    paths: 0,
    namespaces: 1,
    draining: 0,
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(after.get(name), value, name);
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
  assert.equal(before.get('connections_total'), 3);
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
