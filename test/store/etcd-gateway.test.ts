/** The gateway: against a real etcd, and against a false one for what a real one rarely says. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { JsonObject } from '../../src/runtime/unknown.ts';
import { EtcdError, type EtcdFailure } from '../../src/store/etcd-error.ts';
import { EtcdGateway, type EtcdOptions } from '../../src/store/etcd-gateway.ts';
import {
  base64,
  firstRange,
  int64,
  keyValues,
  prefixEnd,
  textOf,
} from '../../src/store/etcd-json.ts';
import { makeCertificate, temporaryFolder } from '../support/certificates.ts';
import { Etcd, etcdIsMissing, PATIENT } from '../support/etcd.ts';

const needsEtcd = { skip: etcdIsMissing };

const put = (key: string, value: string): object => ({ key: base64(key), value: base64(value) });

async function failure(call: Promise<unknown>): Promise<EtcdError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof EtcdError, String(error));
  return error;
}

test(
  'a real etcd: what is put is read; zero and false are left out; leases',
  needsEtcd,
  async (t) => {
    const gateway = await (await Etcd.start(t)).gateway(t);
    await gateway.call('/v3/kv/put', put('a', 'schön\n'));
    await gateway.call('/v3/kv/put', put('b', ''));
    const range = await gateway.call('/v3/kv/range', { key: base64('a'), range_end: base64('c') });
    assert.deepEqual(
      keyValues(range).map(({ key, value }) => [textOf(key), textOf(value)]),
      [
        ['a', 'schön\n'],
        ['b', ''],
      ],
    );
    const never = { key: base64('a'), target: 'CREATE', create_revision: '0' };
    const lost = await gateway.call('/v3/kv/txn', {
      compare: [never],
      failure: [{ request_range: { key: base64('a') } }],
    });
    assert.equal(lost.succeeded, undefined);
    assert.equal(textOf(keyValues(firstRange(lost))[0]?.value), 'schön\n');

    const { ID, TTL } = await gateway.call('/v3/lease/grant', { TTL: '5' });
    assert.equal(int64(TTL), '5');
    const alive = await gateway.call('/v3/lease/keepalive', { ID });
    assert.equal(int64(alive.TTL), '5');
    const dead = await gateway.call('/v3/lease/keepalive', { ID: '1234' });
    assert.equal(int64(dead.TTL), '0');

    const twice = await failure(
      gateway.call('/v3/kv/txn', {
        success: [{ request_put: put('a', '1') }, { request_put: put('a', '2') }],
      }),
    );
    assert.equal(twice.failure, 'refused');
    assert.match(twice.message, /duplicate key/);

    // As many operations, and as many bytes, as are used at most.
    const many = Array.from({ length: 127 }, (_, i) => ({ request_put: put(`many/${i}`, 'x') }));
    await gateway.call('/v3/kv/txn', { success: many });
    await gateway.call('/v3/kv/put', put('large', 'x'.repeat(1024 * 1024)));
    const tooMany = await failure(
      gateway.call('/v3/kv/txn', { success: [...many, ...many.slice(0, 2)] }),
    );
    assert.equal(tooMany.failure, 'refused');
  },
);

test('a real etcd that wants a user: tokens are got, and got again', needsEtcd, async (t) => {
  const etcd = await Etcd.start(t);
  const before = await etcd.gateway(t);
  const user = { name: 'root', password: 'a password' };
  // A user is set although etcd wants none yet.
  const early = await etcd.gateway(t, { user });
  await early.call('/v3/kv/put', put('a', '0'));
  await before.call('/v3/auth/user/add', user);
  await before.call('/v3/auth/role/add', { name: 'root' });
  await before.call('/v3/auth/user/grant', { user: 'root', role: 'root' });
  await before.call('/v3/auth/enable', {});

  await early.call('/v3/kv/put', put('a', '1'));
  const none = await failure(before.call('/v3/kv/range', { key: base64('a') }));
  assert.equal(none.failure, 'refused');
  assert.match(none.message, /wants a user: set --etcd-user-file/);
  const wrong = await etcd.gateway(t, { user: { ...user, password: 'wrong' } });
  const refused = await failure(wrong.call('/v3/kv/range', { key: base64('a') }));
  assert.match(refused.message, /invalid user ID or password\): correct --etcd-user-file/);

  const gateway = await etcd.gateway(t, { user });
  await gateway.call('/v3/kv/put', put('a', '2'));
  // Neither a restart nor a change of the users ends what the user may do.
  await etcd.kill(0);
  etcd.startMember(0);
  const again = await etcd.gateway(t, { user });
  await gateway.call('/v3/kv/put', put('a', '3'));
  await again.call('/v3/auth/user/add', { name: 'other', password: 'x' });
  await gateway.call('/v3/kv/put', put('a', '4'));

  const other = await etcd.gateway(t, { user: { name: 'other', password: 'x' } });
  const forbidden = await failure(other.call('/v3/kv/put', put('a', '5')));
  assert.equal(forbidden.failure, 'refused');
  assert.match(forbidden.message, /permission denied\): give the user the permission/);
});

test('a real etcd with TLS and client certificates', needsEtcd, async (t) => {
  const folder = temporaryFolder(t);
  const server = makeCertificate(folder, 'etcd');
  const client = makeCertificate(folder, 'client');
  const etcd = await Etcd.start(t, { tls: { server, client } });
  const pem = {
    ca: server.cert.toString(),
    cert: client.cert.toString(),
    key: client.key.toString(),
  };
  const gateway = await etcd.gateway(t, pem);
  await gateway.call('/v3/kv/put', put('a', '1'));
  for (const options of [{ ca: pem.ca }, { cert: pem.cert, key: pem.key }]) {
    const other = new EtcdGateway({ members: etcd.urls, ...PATIENT, ...options });
    t.after(() => other.close());
    const error = await failure(other.call('/v3/kv/range', { key: base64('a') }));
    assert.match(error.message, /certificate|handshake|ECONNRESET|socket hang up/);
  }
  const [url] = etcd.urls;
  const plain = new URL(`http://${url?.host}`);
  const listener = createTcpServer((socket) =>
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
  ).listen(0);
  t.after(() => listener.close());
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  for (const [members, cure] of [
    [etcd.urls, /; set --etcd-ca to the CA of etcd$/],
    [[plain], /; if etcd speaks TLS, write https:\/\/ in --etcd$/],
    [[new URL(`https://127.0.0.1:${port}`)], /; if etcd speaks no TLS, write http:\/\/ in --etcd$/],
  ] as const) {
    const other = new EtcdGateway({ members, ...PATIENT });
    t.after(() => other.close());
    const error = await failure(other.call('/v3/kv/range', { key: base64('a') }));
    assert.match(error.message, cure);
  }
});

test(
  'a real etcd over its quota: puts are `full`, reads and deletes are not',
  needsEtcd,
  async (t) => {
    const etcd = await Etcd.start(t, { args: ['--quota-backend-bytes', '65536'] });
    const gateway = await etcd.gateway(t);
    const value = 'x'.repeat(100_000);
    const fill = async (): Promise<void> => {
      for (;;) await gateway.call('/v3/kv/put', put('a', value));
    };
    assert.equal((await failure(fill())).failure, 'full');
    assert.equal((await failure(gateway.call('/v3/lease/grant', { TTL: '5' }))).failure, 'full');
    await gateway.call('/v3/kv/range', { key: base64('a') });
    await gateway.call('/v3/kv/deleterange', { key: base64('a') });
  },
);

test('three real members: one that is killed or stopped is left out', needsEtcd, async (t) => {
  const etcd = await Etcd.start(t, { members: 3 });
  const gateway = await etcd.gateway(t, { tryMs: 400 });
  const persistent = async (path: string, body: object): Promise<JsonObject> => {
    for (;;) {
      try {
        return await gateway.call(path, body);
      } catch (error) {
        assert.ok(error instanceof EtcdError && error.failure === 'unavailable', String(error));
      }
    }
  };
  const write = (value: string) => persistent('/v3/kv/put', put('a', value));
  await write('1');
  const killed = await etcd.leader(t);
  await etcd.kill(killed);
  await write('2');
  etcd.startMember(killed);
  await write('3');
  const stopped = etcd.children[await etcd.leader(t)];
  stopped?.kill('SIGSTOP');
  await write('4');
  stopped?.kill('SIGCONT');
  // The one that wakes may be asked, and have no leader yet.
  const range = await persistent('/v3/kv/range', { key: base64('a') });
  assert.equal(textOf(keyValues(range)[0]?.value), '4');
});

/** A gateway to a server that answers each request with what `answer` returns for its path. */
async function falseEtcd(
  t: TestContext,
  answer: (path: string) => readonly [status: number, body: string],
  options: Partial<EtcdOptions> = {},
): Promise<EtcdGateway> {
  const server = createServer((request, response) => {
    request.resume();
    const [status, body] = answer(request.url ?? '');
    response.writeHead(status).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const members = [new URL(`http://127.0.0.1:${port}`)];
  const gateway = new EtcdGateway({ members, ...PATIENT, ...options });
  t.after(() => {
    gateway.close();
    server.closeAllConnections();
    server.close();
  });
  return gateway;
}

test('each error is what it means', async (t) => {
  const error = (code: number, message: string): string => JSON.stringify({ error: message, code });
  const cases: readonly (readonly [number, string, EtcdFailure, RegExp])[] = [
    [503, error(14, 'etcdserver: leader changed'), 'unavailable', /leader changed/],
    [503, error(14, 'etcdserver: request timed out'), 'unavailable', /timed out/],
    [504, error(4, 'context deadline exceeded'), 'unavailable', /deadline/],
    [500, error(13, 'transport is closing'), 'unavailable', /closing/],
    [502, '<html>Bad gateway</html>', 'unavailable', /Bad gateway/],
    [429, error(8, 'etcdserver: too many requests'), 'unavailable', /too many requests/],
    [429, error(8, 'etcdserver: mvcc: database space exceeded'), 'full', /space exceeded/],
    [400, error(3, 'etcdserver: request is too large'), 'refused', /too large/],
    [404, '404 page not found', 'refused', /HTTP 404 \(404 page not found\): set --etcd to/],
    [200, 'not JSON', 'refused', /HTTP 200/],
    [401, 'Unauthorized: invalid auth token', 'refused', /wants a user/],
    [
      200,
      '{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}',
      'unavailable',
      /no leader/,
    ],
  ];
  let answer: readonly [number, string] = [200, '{}'];
  const gateway = await falseEtcd(t, () => answer);
  for (const [status, body, kind, message] of cases) {
    answer = [status, body];
    const got = await failure(gateway.call('/v3/kv/range', {}));
    assert.equal(got.failure, kind, body);
    assert.match(got.message, message);
  }
  answer = [200, '{"result":{"TTL":"5"}}'];
  assert.equal(int64((await gateway.call('/v3/lease/keepalive', {})).TTL), '5');
});

test('a member that does not answer, or cuts the answer off, costs one try', async (t) => {
  const silent = createTcpServer(() => {}).listen(0, '127.0.0.1');
  const cutting = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{');
      socket.destroySoon();
    });
  }).listen(0, '127.0.0.1');
  await Promise.all([once(silent, 'listening'), once(cutting, 'listening')]);
  const members = [silent, cutting].map(
    (server) => new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
  );
  t.after(() => {
    silent.close();
    cutting.close();
  });
  const unavailable = async (members: readonly URL[], tryMs: number): Promise<string> => {
    const gateway = new EtcdGateway({ members, tryMs });
    t.after(() => gateway.close());
    const error = await failure(gateway.call('/v3/kv/range', {}));
    assert.equal(error.failure, 'unavailable');
    return error.message;
  };
  const [first, second] = members;
  assert.ok(first !== undefined && second !== undefined);
  assert.match(await unavailable([second], PATIENT.tryMs), /127.*(cut off|aborted)/);
  // On a busy machine the second one may be too slow for such a short time, too.
  const each = /no answer within 50 ms; 127.*(cut off|aborted|no answer within 50 ms)/;
  assert.match(await unavailable([first, second], 50), each);
});

test('a token that is not accepted is got anew once', async (t) => {
  const paths: string[] = [];
  let tokens = 0;
  const gateway = await falseEtcd(
    t,
    (path) => {
      paths.push(path);
      if (path === '/v3/auth/authenticate') return [200, `{"token":"t${++tokens}"}`];
      if (tokens < 2) return [401, '{"error":"etcdserver: invalid auth token","code":16}'];
      return [200, '{}'];
    },
    { user: { name: 'a', password: 'b' } },
  );
  await gateway.call('/v3/kv/range', {});
  await gateway.call('/v3/kv/range', {});
  assert.deepEqual(
    paths.map((path) => path.split('/').at(-1)),
    ['authenticate', 'range', 'authenticate', 'range', 'range'],
  );
});

test('the end of a prefix', () => {
  assert.equal(prefixEnd('/locktopus/'), '/locktopus0');
  assert.throws(() => new EtcdGateway({ members: [] }), RangeError);
});
