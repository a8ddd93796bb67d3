/** /locks and /namespaces: what `inspect` and `namespaces` answer, in pages, as JSON over HTTP. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ServerOptions } from '../../../src/server-options.ts';
import { type AskOptions, ask } from '../../support/http-client.ts';
import { lock, read, write } from '../../support/line-client.ts';
import { setUp as setUpLines, take } from '../../support/line-server.ts';

async function setUp(t: TestContext, options: ServerOptions = {}) {
  const lines = await setUpLines(t, options);
  const { port } = lines.server.address;
  const get = async (path: string, how?: AskOptions) => {
    const { status, headers, body } = await ask(port, path, how);
    const isJson = headers['content-type'] === 'application/json';
    return { status, headers, body: isJson ? JSON.parse(body) : body };
  };
  return { ...lines, get };
}

/** The query for locks at a path of the namespace `shop`. */
function locksAt(path: readonly string[], more = ''): string {
  return `/locks?namespace=shop&path=${encodeURIComponent(JSON.stringify(path))}${more}`;
}

test('the locks of a namespace are those that inspect answers, page by page', async (t) => {
  const { clock, greet, get } = await setUp(t);
  const { client } = await greet({ namespace: 'shop', label: 'till' });
  const { client: other } = await greet({ namespace: 'shop' });
  await client.ask({ ...lock(write('orders', '17/é')), label: 'checkout' });
  await client.ask({ ...lock(write('prices')), ref: 2 });
  await other.ask(lock(read('orders')));
  clock.advance(42);
  const all = await get('/locks?namespace=shop');
  assert.deepEqual([all.status, all.headers['content-type']], [200, 'application/json']);
  client.send({ action: 'inspect' });
  const replies = (await take(client, 4)).map(({ action: _, ...line }) => line);
  const [lines, { end: _, ...summary } = {}] = [replies.slice(0, 3), replies[3]];
  assert.deepEqual({ ...all.body }, { locks: lines, ...summary });
  assert.deepEqual([all.body.locks[0].forMs, all.body.locks[0].session], [42, 'till']);

  const below = await get(locksAt(['orders', '17/é']));
  assert.deepEqual(
    below.body.locks.map(({ id }: { id: string }) => id),
    [lines[0]?.id, lines[2]?.id],
  );
  const first = await get(locksAt([], '&max=2'));
  assert.deepEqual([first.body.locks.length, first.body.next], [2, lines[1]?.id]);
  const second = await get(locksAt([], `&max=2&after=${first.body.next}`));
  assert.deepEqual([second.body.locks, second.body.next], [[lines[2]], undefined]);
  const one = await get(`/locks?namespace=shop&id=${lines[1]?.id}`);
  assert.equal(one.body.locks[0].id, lines[1]?.id);
});

test('the namespaces in use, page by page', async (t) => {
  const { greet, get } = await setUp(t);
  assert.deepEqual((await get('/namespaces')).body, { namespaces: [] });
  for (const namespace of ['b', 'a"\n', 'c']) await greet({ namespace });
  const { body } = await get('/namespaces?max=2');
  assert.deepEqual(body, {
    namespaces: ['a"\n', 'b'].map((namespace) => ({
      ...{ namespace, sessions: 1, locks: { acquired: 0, enqueued: 0 } },
    })),
    next: 'b',
  });
  const rest = await get('/namespaces?after=b');
  assert.deepEqual([rest.body.namespaces.length, rest.body.next], [1, undefined]);
});

test('a query that makes no sense is an error, not another listing', async (t) => {
  const { greet, get } = await setUp(t);
  await greet({ namespace: 'shop' });
  for (const [path, status, said] of [
    ['/locks', 400, /^Add the parameter namespace: /],
    ['/locks?namespace=', 400, /^Add the parameter namespace: /],
    ['/locks?namespace=elsewhere', 404, /"elsewhere" is not in use\./],
    ['/locks?namespace=shop&path=orders', 400, /^Invalid query: path must be .*\.$/m],
    ['/locks?namespace=shop&path=[1]', 400, /^Invalid query: path\[0\] must be /],
    ['/locks?namespace=shop&limit=3', 400, /^Invalid query: limit is not a known field; .*max\.$/m],
    ['/locks?namespace=shop&constructor=3', 400, /^Invalid query: constructor is not a known /],
    [
      '/locks?namespace=shop&action=evict',
      400,
      /^Invalid query: action .*; known are namespace, path, id, /,
    ],
    ['/locks?namespace=shop&ref=1', 400, /^Invalid query: ref is not a known field/],
    ['/locks?namespace=shop&max=0', 400, /^Invalid query: max must be /],
    ['/locks?namespace=shop&max=many', 400, /^Invalid query: max must be /],
    ['/locks?namespace=shop&after=x', 400, /^Invalid query: after must be /],
    ['/locks?namespace=shop&id=1', 404, /^The namespace "shop" has no such lock\.$/m],
    ['/locks?namespace=%ff', 400, /UTF-8/],
    ['/locks?namespace=a&namespace=shop', 400, /^The parameter namespace is repeated: /],
    ['/locks?namespace=shop&path=[]&path=["a"]', 400, /^The parameter path is repeated: /],
    ['/namespaces?max=1&max=2', 400, /^The parameter max is repeated: /],
    ['/namespaces?path=[]', 400, /^Invalid query: path is not a known field/],
    ['/namespaces?ref=1', 400, /^Invalid query: ref is not a known field/],
    ['/namespaces?max=1001', 400, /^Invalid query: max must be /],
  ] as const) {
    const { status: actual, body } = await get(path);
    assert.equal(actual, status, path);
    assert.match(body, said);
  }
});

test('tokens, origins and the limit of connections hold for listings as for all that tells', async (t) => {
  const token = 'client-0123456789abcdef';
  const { greet, get } = await setUp(t, { tokens: [token] });
  await greet({ namespace: 'shop', token });
  for (const path of ['/locks?namespace=shop', '/namespaces']) {
    assert.equal((await get(path)).status, 401);
    assert.equal((await get(path, { headers: { authorization: `Bearer ${token}` } })).status, 200);
    const separator = path.includes('?') ? '&' : '?';
    assert.equal((await get(`${path}${separator}token=${token}`)).status, 200);
    const headers = { authorization: `Bearer ${token}`, origin: 'https://evil.example' };
    assert.equal((await get(path, { headers })).status, 403);
  }
});
