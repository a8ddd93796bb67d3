/**
 * `inspect` over real sockets: by path, by id, in pages; every field; and that it changes nothing.
 * And `namespaces`, in pages too.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LineClient, lock, type Reply, read, write } from '../support/line-client.ts';
import { codeOf, setUp, unreadOf } from '../support/line-server.ts';

function inspect(client: LineClient, fields: object = {}): Promise<Reply[]> {
  return linesOf(client, { action: 'inspect', ...fields });
}

/** Asks, and takes all lines of the answer. */
async function linesOf(client: LineClient, request: object): Promise<Reply[]> {
  client.send(request);
  const lines = [await client.next()];
  while (lines.at(-1)?.end !== true) lines.push(await client.next());
  return lines;
}

test('a path shows what is at it, above it and below it, and who waits for whom', async (t) => {
  const { connect, greet, clock } = await setUp(t);
  const { client: holder } = await greet({ label: 'till' });
  const below = await holder.ask({ ...lock(read('a', 'b')), label: 'night job', owner: 'o1' });
  clock.advance(1500);
  const above = await holder.ask({ ...lock(read(), write('z')), holdMs: 9000 });
  clock.advance(250);
  const waiter = await connect();
  const waiting = await waiter.ask({ ...lock(write('a')), waitMs: 5000 });
  clock.advance(250);
  const lines: Reply[] = await inspect(waiter, { path: ['a'], ref: 'i' });
  const waitsFor = lines[2]?.waitsFor as Reply[];
  assert.equal(
    lines.every((line) => line.action === 'inspect' && line.ref === 'i'),
    true,
  );
  const head = { action: 'inspect', ref: 'i' };
  const { client } = lines[0] ?? {};
  assert.match(String(client), /^127\.0\.0\.1:\d+$/);
  assert.notEqual(lines[2]?.client, client);
  assert.deepEqual(lines, [
    {
      ...head,
      id: below.id,
      state: 'acquired',
      place: 'below',
      resources: [read('a', 'b')],
      client,
      sessionId: '1',
      session: 'till',
      label: 'night job',
      owner: 'o1',
      forMs: 2000,
    },
    {
      ...head,
      id: above.id,
      state: above.state,
      place: 'above',
      resources: [read(), write('z')],
      client,
      sessionId: '1',
      session: 'till',
      forMs: 500,
      limitMs: 9000,
    },
    {
      ...head,
      id: waiting.id,
      state: 'enqueued',
      place: 'same',
      resources: [write('a')],
      client: lines[2]?.client,
      sessionId: '2',
      forMs: 250,
      limitMs: 5000,
      waitsFor,
    },
    { ...head, end: true, namespace: 'default', acquired: 2, enqueued: 1 },
  ]);
  assert.deepEqual(
    waitsFor.toSorted((a, b) => Number(a.id) - Number(b.id)),
    [
      { id: below.id, state: 'acquired', relation: 'below', path: ['a'] },
      { id: above.id, state: 'acquired', relation: 'above', path: [] },
    ],
  );
});

test('forMs is never more than the time that has passed', async (t) => {
  const { connect, clock } = await setUp(t);
  const client = await connect();
  for (const startMs of [0, 0.4, 0.5, 0.6]) {
    clock.advance(startMs);
    const { id } = await client.ask(lock(write('a')));
    assert.equal((await inspect(client, { id }))[0]?.forMs, 0);
    clock.advance(299.3);
    const forMs = Number((await inspect(client, { id }))[0]?.forMs);
    assert.ok(forMs <= 299.3 && forMs > 297.3, String(forMs));
    await client.ask({ action: 'release', id });
  }
});

test('forMs counts the wait until the grant, and the hold from there', async (t) => {
  const { connect, clock } = await setUp(t);
  const client = await connect();
  await client.ask({ ...lock(write('a')), ref: 1 });
  const second = await client.ask({ ...lock(write('a')), ref: 2 });
  clock.advance(300);
  assert.equal((await inspect(client, { id: second.id }))[0]?.forMs, 300);
  client.send({ action: 'release', id: String(Number(second.id) - 1) });
  await client.next();
  await client.next();
  clock.advance(40);
  const [line] = await inspect(client, { id: second.id });
  assert.deepEqual([line?.state, line?.forMs], ['acquired', 40]);
});

test('an id shows that lock alone, of whichever session of the namespace, or is not there', async (t) => {
  const { connect, greet } = await setUp(t);
  const { client: elsewhere } = await greet({ namespace: 'elsewhere' });
  const hidden = await elsewhere.ask(lock(write('a')));
  const [holder, client] = [await connect(), await connect()];
  const { id } = await holder.ask(lock(write('a')));
  await holder.ask(lock(write('b')));
  const lines = await inspect(client, { id });
  assert.equal(lines.length, 2);
  assert.equal(lines[0]?.id, id);
  assert.equal('place' in (lines[0] ?? {}), false);
  for (const wrong of [hidden.id, '1']) {
    const reply = await client.ask({ action: 'inspect', id: wrong });
    assert.equal(codeOf(reply), 'no_such_lock');
  }
});

test('without a path everything is shown; what is free shows nothing', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  assert.deepEqual(await inspect(client), [
    { action: 'inspect', end: true, namespace: 'default', acquired: 0, enqueued: 0 },
  ]);
  await client.ask(lock(write('a')));
  await client.ask(lock(write('b', 'c')));
  await client.ask(lock(read('b')));
  assert.deepEqual((await inspect(client)).at(-1), {
    action: 'inspect',
    end: true,
    namespace: 'default',
    acquired: 2,
    enqueued: 1,
  });
  assert.equal((await inspect(client, { path: ['c'] })).length, 1);
});

test('pages of max locks each, by next and after, are the whole without repeats', async (t) => {
  const { connect } = await setUp(t);
  const [holder, client] = [await connect(), await connect()];
  const ids: unknown[] = [];
  for (let i = 0; i < 105; i++) ids.push((await holder.ask(lock(read('a', `${i}`)))).id);
  for (const max of [1, 50, 104, 105, 106, undefined]) {
    const found: unknown[] = [];
    let after: unknown;
    do {
      const lines = await inspect(client, { path: ['a'], max, after });
      const end = lines.pop();
      assert.ok(lines.length <= (max ?? 100));
      found.push(...lines.map((line) => line.id));
      after = end?.next;
    } while (after !== undefined);
    assert.deepEqual(found, ids);
  }
  for (const max of [0, 1001, 1.5, '5']) {
    assert.equal(codeOf(await client.ask({ action: 'inspect', max })), 'bad_request');
  }
});

test('an answer ends when it is over its bytes, and goes on where it ended', async (t) => {
  const { connect } = await setUp(t);
  const [holder, client] = [await connect(), await connect()];
  const long = Array.from({ length: 10 }, (_, i) => read('x'.repeat(1000), `${i}`));
  for (let i = 0; i < 100; i++) await holder.ask(lock(...long));
  let found = 0;
  let pages = 0;
  let after: unknown;
  do {
    const lines = await inspect(client, { after, max: 1000 });
    assert.ok(JSON.stringify(lines).length < 90 * 1024);
    found += lines.length - 1;
    pages++;
    after = lines.at(-1)?.next;
  } while (after !== undefined);
  assert.equal(found, 100);
  assert.ok(pages > 1);
});

test('a page ends when it has cost enough, and goes on where it ended', async (t) => {
  const { connect } = await setUp(t);
  const holder = await connect();
  const names = Array.from({ length: 1000 }, (_, i) => String(i));
  await holder.ask(lock(...names.map((name) => write(name))));
  const waiter = await connect();
  // Each waits with a thousand entries for the same lock: a short list that is long to find.
  const waiting: unknown[] = [];
  for (let i = 0; i < 100; i++) {
    waiting.push((await waiter.ask(lock(...names.map((name) => read(name))))).id);
  }
  const shown: unknown[] = [];
  const pages: number[] = [];
  let after: unknown;
  do {
    const page = await inspect(holder, { max: 1000, ...(after === undefined ? {} : { after }) });
    const { next, end } = page.pop() ?? {};
    assert.equal(end, true);
    pages.push(page.length);
    shown.push(...page.map(({ id }) => id));
    after = next;
  } while (after !== undefined);
  assert.deepEqual(shown.slice(1), waiting);
  assert.ok(pages.length > 1 && pages.every((length) => length > 0), `pages of ${pages}`);
});

test('of many resources and many waits ten are spelled out', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  for (let i = 0; i < 11; i++) await client.ask(lock(write(`${i}`)));
  const many = Array.from({ length: 12 }, (_, i) => write(`${i}`));
  const { id } = await client.ask(lock(...many));
  const [line] = await inspect(client, { id });
  assert.equal((line?.resources as object[] | undefined)?.length, 10);
  assert.equal(line?.moreResources, 2);
  assert.equal((line?.waitsFor as object[] | undefined)?.length, 10);
  assert.equal(line?.waitsForMore, true);
});

test('the line of a limit is a relation of its own', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  const seat = lock({ type: 'read', path: ['gpu'], limit: 1 });
  const first = await client.ask(seat);
  const second = await client.ask(seat);
  const [line] = await inspect(client, { id: second.id });
  assert.deepEqual(line?.resources, seat.resources);
  assert.deepEqual(line?.waitsFor, [
    { id: first.id, state: 'acquired', relation: 'limit', path: ['gpu'] },
  ]);
});

test('looking changes nothing and disturbs nobody', async (t) => {
  const { connect, watch, server } = await setUp(t);
  const [holder, waiter, client] = [await connect(), await connect(), await connect()];
  await holder.ask(lock(write('a')));
  await waiter.ask(lock(write('a')));
  const before = server.counts;
  for (const path of [[], ['a'], ['a', 'b'], ['new', 'path']]) await inspect(client, { path });
  const stats = await client.ask({ action: 'stats' });
  assert.equal(stats.paths, 1);
  assert.deepEqual(server.counts, { ...before, sessions: 3 });
  assert.equal(watch.count('acquired') + watch.count('enqueued'), 2);
  assert.deepEqual(await unreadOf(holder), []);
  assert.deepEqual(await unreadOf(waiter), []);
});

test('of a lost session it is shown how long its locks are kept, until it is resumed', async (t) => {
  const { greet, cut, clock } = await setUp(t);
  const settings = { namespace: 'shop', label: 'gone', abandonTimeoutMs: 2000 };
  const { client: holder, session } = await greet(settings);
  const { client } = await greet({ namespace: 'shop' });
  clock.advance(0.5);
  const { id } = await holder.ask(lock(write('a')));
  clock.advance(500);
  await cut(holder);
  const look = async (passedMs: number): Promise<unknown[]> => {
    clock.advance(passedMs);
    const [line, end] = await inspect(client, { id });
    assert.deepEqual([line?.session, end?.namespace], ['gone', 'shop']);
    return [line?.lost, line?.abandonedInMs];
  };
  assert.deepEqual(await look(0), [true, 2000]);
  assert.deepEqual(await look(0.25), [true, 1999]);
  assert.deepEqual(await look(1999.5), [true, 0]);
  await greet({ session });
  assert.deepEqual(await look(500), [undefined, undefined]);
});

test('an abandon timeout of any length is counted down exactly', async (t) => {
  const { greet, cut, clock } = await setUp(t);
  const { client: holder } = await greet({ abandonTimeoutMs: Number.MAX_SAFE_INTEGER });
  const { client } = await greet();
  const { id } = await holder.ask(lock(write('a')));
  clock.advance(1e12);
  await cut(holder);
  clock.advance(3);
  const [line] = await inspect(client, { id });
  assert.equal(line?.abandonedInMs, Number.MAX_SAFE_INTEGER - 3);
});

test('of long paths so many are listed that a line stays short', async (t) => {
  const { connect } = await setUp(t);
  const deep = Array.from({ length: 50 }, () => 'x'.repeat(100));
  const paths = Array.from({ length: 8 }, (_, i) => write(`${i}`, ...deep));
  const [holder, waiter] = [await connect(), await connect()];
  for (const path of paths) await holder.ask(lock(path));
  await waiter.ask(lock(...paths));
  const line = (await inspect(waiter)).at(-2) ?? {};
  assert.equal((line.resources as unknown[]).length, 1);
  assert.equal(line.moreResources, 7);
  assert.equal((line.waitsFor as unknown[]).length, 1);
  assert.equal(line.waitsForMore, true);
  assert.ok(JSON.stringify(line).length < 16_000);
});

test('namespaces lists those in use by name, with their sessions and locks', async (t) => {
  const { connect, greet, cut } = await setUp(t);
  const { client: holder } = await greet({ namespace: 'shop' });
  const { client: waiter } = await greet({ namespace: 'shop' });
  await holder.ask(lock(write('a'), write('b')));
  await waiter.ask(lock(write('a')));
  const { client: lost } = await greet({ namespace: 'lost' });
  await lost.ask(lock(read()));
  await cut(lost);
  const names = ['z', '__proto__', '\ud800', 'é', 'Z', '\u{10000}', '\uffff'];
  for (const namespace of names) await greet({ namespace });
  const lines = await linesOf(await connect(), { action: 'namespaces', ref: 'n' });
  const head = { action: 'namespaces', ref: 'n' };
  const counts = (namespace: string, sessions = 1, acquired = 0, enqueued = 0) => {
    return { ...head, namespace, sessions, locks: { acquired, enqueued } };
  };
  assert.deepEqual(lines, [
    ...[counts('Z'), counts('__proto__'), counts('default'), counts('lost', 1, 1)],
    ...[counts('shop', 2, 1, 1), counts('z'), counts('é'), counts('\ud800')],
    ...[counts('\u{10000}'), counts('\uffff'), { ...head, end: true }],
  ]);
});

test('pages of namespaces, by next and after, are the whole without repeats', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  const names = Array.from({ length: 104 }, (_, i) => `n${String(i).padStart(3, '0')}`);
  const sessions = await Promise.all(names.map(() => connect()));
  await Promise.all(sessions.map((one, i) => one.ask({ action: 'hello', namespace: names[i] })));
  for (const max of [1, 52, 104, 105, 106, undefined]) {
    const found: unknown[] = [];
    let after: unknown;
    do {
      const lines = await linesOf(client, { action: 'namespaces', max, after });
      after = lines.pop()?.next;
      assert.ok(lines.length <= (max ?? 100));
      found.push(...lines.map(({ namespace }) => namespace));
    } while (after !== undefined);
    assert.deepEqual(found, ['default', ...names]);
  }
  await sessions[50]?.ask({ action: 'bye' });
  const [next] = await linesOf(client, { action: 'namespaces', after: names[50], max: 1 });
  assert.equal(
    next?.namespace,
    names[51],
    'what has gone meanwhile may be the name to go on after',
  );
  assert.deepEqual(await linesOf(client, { action: 'namespaces', after: 'o' }), [
    { action: 'namespaces', end: true },
  ]);
});

test('an answer to namespaces ends when it is long, and goes on where it ended', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  const names = Array.from({ length: 300 }, (_, i) => `${'x'.repeat(1000)}${i + 100}`);
  const sessions = await Promise.all(names.map(() => connect()));
  await Promise.all(sessions.map((one, i) => one.ask({ action: 'hello', namespace: names[i] })));
  const found: unknown[] = [];
  let after: unknown;
  do {
    const lines = await linesOf(client, { action: 'namespaces', max: 1000, after });
    assert.ok(JSON.stringify(lines).length < 80 * 1024);
    ({ next: after } = lines.pop() ?? {});
    found.push(...lines.map(({ namespace }) => namespace));
  } while (after !== undefined);
  assert.deepEqual(found, ['default', ...names]);
});
