/**
 * A server that breaks the protocol: wrong order, half a message, wrong types, unsolicited messages,
 * silence, an end in the middle of a grant. None of it makes a client trust a lock, lose a call, or
 * crash: it drops the connection and resumes on another.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { connectClient } from '../../src/client/client.ts';
import {
  connect,
  type DeadlockError,
  LockLostError,
  ProtocolError,
  write,
} from '../../src/client/index.ts';
import { parseUrl } from '../../src/client/url.ts';
import {
  ABANDON_MS,
  type Connection,
  granted,
  greeting,
  type Message,
  resumed,
  ScriptedServer,
} from './scripted-server.ts';

const EVENT = {
  ...{ action: 'watch', event: 'acquired', id: '1', atMs: 1, client: 'x', sessionId: '2' },
  resources: [],
};

/** Sent to a client that holds lock 7, requested with `held`, and has just requested another with `ref`. */
const BREACHES: readonly [
  name: string,
  says: (ref: number, held: number) => (Message | string)[],
][] = [
  ['invalid JSON', () => ['{"action":']],
  ['an array', () => ['[]']],
  ['null', () => ['null']],
  ['an action that is a number', (ref) => [{ action: 1, ref }]],
  [
    'a ref that is a string',
    (ref) => [{ action: 'lock', ref: String(ref), id: '8', state: 'acquired' }],
  ],
  ['an id that is a number', (ref) => [{ action: 'lock', ref, id: 8, state: 'acquired' }]],
  ['an id that is not decimal', (ref) => [{ action: 'lock', ref, id: '8x', state: 'acquired' }]],
  ['a lock without an id', (ref) => [{ action: 'lock', ref, state: 'acquired' }]],
  ['an unknown state', (ref) => [{ action: 'lock', ref, id: '8', state: 'maybe' }]],
  ['a lock that is released', (ref) => [{ action: 'lock', ref, id: '8', state: 'released' }]],
  [
    'a lock that expires before it is held',
    (ref) => [{ action: 'lock', ref, id: '8', state: 'expired' }],
  ],
  ['no state', (ref) => [{ action: 'lock', ref, id: '8' }]],
  ['an error that is a string', (ref) => [{ action: 'lock', ref, error: 'no' }]],
  ['an error without a code', (ref) => [{ action: 'lock', ref, error: { message: 'no' } }]],
  [
    'an invalid cycle',
    (ref) => [
      { action: 'lock', ref, error: { code: 'deadlock', message: 'no', cycle: [{ owner: 1 }] } },
    ],
  ],
  ['the answer to something else', (ref) => [{ action: 'stats', ref }]],
  ['the answer to a later request first', (ref) => [{ action: 'ping', ref: ref + 1 }]],
  ['the answer to nothing', () => [{ action: 'ping', ref: 1_000_000 }]],
  ['a grant of nothing', () => [{ action: 'lock', ref: 1_000_000, id: '8', state: 'acquired' }]],
  ['a grant without a ref', () => [{ action: 'lock', id: '8', state: 'acquired' }]],
  [
    'a grant of what is held already',
    (_, held) => [{ action: 'lock', ref: held, id: '7', state: 'acquired' }],
  ],
  [
    'the end of a held lock by another id',
    (_, held) => [{ action: 'lock', ref: held, id: '6', state: 'expired' }],
  ],
  [
    'a timeout of what is held',
    (_, held) => [{ action: 'lock', ref: held, id: '7', state: 'timeout' }],
  ],
  [
    'an error about what is held',
    (_, held) => [
      { action: 'lock', ref: held, id: '7', error: { code: 'draining', message: 'no' } },
    ],
  ],
  ['a hello', () => [greeting(1)]],
  ['an empty message', () => [{}]],
  ['an event that is no word', () => [{ ...EVENT, event: 7 }]],
  [
    'an event with a number for a path',
    () => [{ ...EVENT, resources: [{ type: 'read', path: 1 }] }],
  ],
  ['an event without a time', () => [{ ...EVENT, atMs: undefined }]],
  ['an event of a part of a millisecond', () => [{ ...EVENT, atMs: 0.5 }]],
  ['an event of no session', () => [{ ...EVENT, sessionId: undefined }]],
];

for (const [name, says] of BREACHES) {
  test(`the server sends ${name}: the client drops the connection and resumes`, async (t) => {
    const server = new ScriptedServer();
    const { client, connection } = await server.join(t);
    const { lock, ref: held } = await granted(client, connection);
    const wait = client.lock(write('b'));
    await null;
    const { ref } = connection.take('lock');
    const errors: unknown[] = [];
    client.on('disconnected', ({ error }) => errors.push(error));
    connection.say(...says(ref, held));
    assert.equal(connection.isOver, true);
    assert.ok(errors[0] instanceof ProtocolError, String(errors[0]));
    const next = server.reconnection();
    assert.equal(next.hello.session, 's1');
    next.connection.say(...resumed(next.hello.ref, { ref: held, id: '7', state: 'acquired' }));
    assert.equal(next.connection.take('lock').ref, ref, 'what has no answer is asked again');
    next.connection.say({ action: 'lock', ref, id: '10', state: 'acquired' });
    assert.equal((await wait).id, '10');
    assert.equal(lock.isHeld, true);
    assert.deepEqual(server.reported, []);
  });
}

/** Sent to a client that holds lock 7, in answer to its extension by 1000 ms. */
const BREACHES_AT_EXTENSION: readonly [name: string, answer: Message][] = [
  ['for another lock', { id: '8', holdMs: 1000 }],
  ['without an id', { holdMs: 1000 }],
  ['by another time', { id: '7', holdMs: 1001 }],
  ['without an end', { id: '7', holdMs: null }],
  ['without its time', { id: '7' }],
  ['for a lock that is not there', { error: { code: 'no_such_lock', message: 'no' } }],
  ['for a lock that is not held', { error: { code: 'not_acquired', message: 'no' } }],
];

for (const [name, answer] of BREACHES_AT_EXTENSION) {
  test(`an extension is answered ${name}: it is sent again on the next connection`, async (t) => {
    const server = new ScriptedServer();
    const { client, connection } = await server.join(t);
    const { lock, ref: held } = await granted(client, connection);
    const extended = lock.extend(1000);
    await null;
    const { ref } = connection.take('extend');
    connection.say({ action: 'extend', ref, ...answer });
    assert.equal(connection.isOver, true);
    assert.equal(lock.isHeld, true);
    const next = server.reconnection(500);
    next.connection.say(...resumed(next.hello.ref, { ref: held, id: '7', state: 'acquired' }));
    assert.equal(next.connection.take('extend').ref, ref);
    next.connection.say({ action: 'extend', ref, id: '7', holdMs: 1000 });
    await extended;
    assert.equal(lock.isHeld, true);
  });
}

/** Answers to `namespaces`, all of them invalid. */
const BREACHES_AT_NAMESPACES: readonly [name: string, line: Message][] = [
  ['without a name', { sessions: 1, locks: { acquired: 0, enqueued: 0 } }],
  ['without sessions', { namespace: 'a', locks: { acquired: 0, enqueued: 0 } }],
  ['with half of the locks', { namespace: 'a', sessions: 1, locks: { acquired: 0 } }],
  [
    'with a part of a session',
    { namespace: 'a', sessions: 0.5, locks: { acquired: 0, enqueued: 0 } },
  ],
  ['with a number to go on after', { end: true, next: 7 }],
];

test('a lock that is listed with an invalid field is asked for again', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const listed = client.inspect().next();
  await null;
  const { ref } = connection.take('inspect');
  const line = { action: 'inspect', ref, id: '1', state: 'acquired', client: 'x', sessionId: '2' };
  const good = { ...line, resources: [], lost: true, abandonedInMs: 5, forMs: 1 };
  connection.say({ ...good, abandonedInMs: 'soon' });
  assert.equal(connection.isOver, true);
  const next = server.reconnection();
  next.connection.say(...resumed(next.hello.ref), good, { action: 'inspect', ref, end: true });
  assert.equal((await listed).value?.abandonedInMs, 5);
});

test('a list of namespaces with invalid lines is asked for again on the next connection', async (t) => {
  const server = new ScriptedServer();
  let { client, connection } = await server.join(t);
  const listed = client.namespaces().next();
  await null;
  let { ref } = connection.take('namespaces');
  const good = { action: 'namespaces', namespace: 'a', sessions: 1 };
  const locks = { acquired: 0, enqueued: 0 };
  for (const [name, line] of BREACHES_AT_NAMESPACES) {
    connection.say({ ...good, ref, locks }, { action: 'namespaces', ref, ...line });
    assert.equal(connection.isOver, true, name);
    const next = server.reconnection();
    connection = next.connection;
    connection.say(...resumed(next.hello.ref));
    ref = connection.take('namespaces').ref;
  }
  connection.say({ ...good, ref, locks, more: 1 }, { action: 'namespaces', ref, end: true });
  const value = { namespace: 'a', sessions: 1, locks };
  assert.deepEqual(await listed, { done: false, value });
});

/** Sent to a client that resumes with lock 7, requested with `held`. */
const BREACHES_AT_RESUME: readonly [
  name: string,
  says: (ref: number, held: number) => Message[],
][] = [
  ['another session', (ref) => [greeting(ref, { session: 's2', resumed: true, locks: 0 })]],
  ['a new session', (ref) => [greeting(ref)]],
  ['an invalid number of locks', (ref) => [greeting(ref, { resumed: true, locks: -1 })]],
  ['another answer', (ref) => [{ action: 'ping', ref }]],
  ['an answer to something else', (ref) => [greeting(ref + 1)]],
  [
    'a lock twice',
    (ref, held) =>
      resumed(
        ref,
        { ref: held, id: '7', state: 'acquired' },
        { ref: held, id: '7', state: 'acquired' },
      ),
  ],
  [
    'a held lock as enqueued',
    (ref, held) => resumed(ref, { ref: held, id: '7', state: 'enqueued' }),
  ],
  [
    'a held lock by another id',
    (ref, held) => resumed(ref, { ref: held, id: '8', state: 'acquired' }),
  ],
  ['a lock that has ended', (ref, held) => resumed(ref, { ref: held, id: '7', state: 'expired' })],
  ['a lock without a ref', (ref) => resumed(ref, { id: '7', state: 'acquired' })],
  [
    'something else in the list',
    (ref) => [greeting(ref, { resumed: true, locks: 1 }), { action: 'ping', ref }],
  ],
  ['another protocol', (ref) => [greeting(ref, { protocol: 3 })]],
  ['a limit of a wrong type', (ref) => [greeting(ref, { limits: { maxMessageBytes: '9' } })]],
  ['no abandon timeout', (ref) => [greeting(ref, { abandonTimeoutMs: undefined })]],
];

for (const [name, says] of BREACHES_AT_RESUME) {
  test(`a resume is answered with ${name}: the client tries elsewhere, and no lock lasts longer`, async (t) => {
    const server = new ScriptedServer();
    const { client, connection } = await server.join(t);
    const { lock, ref } = await granted(client, connection);
    connection.end();
    const next = server.reconnection();
    next.connection.say(...says(next.hello.ref, ref));
    assert.equal(next.connection.isOver, true);
    assert.equal(lock.isHeld, true);
    server.clock.advance(4000);
    assert.equal(lock.isHeld, false);
    const last = server.reconnection();
    assert.equal(last.hello.session, 's1');
    last.connection.say(...resumed(last.hello.ref));
    assert.equal(client.isConnected, true);
  });
}

test('a listed lock that the client does not know is released', async (t) => {
  const server = new ScriptedServer();
  const { connection } = await server.join(t);
  connection.end();
  const next = server.reconnection();
  next.connection.say(...resumed(next.hello.ref, { ref: 99, id: '7', state: 'acquired' }));
  assert.equal(next.connection.take('release').id, '7');
});

test('a grant with another id than was enqueued is a breach', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const refused = assert.rejects(client.lock(write('a')), { code: 'missing' });
  await null;
  const { ref } = connection.take('lock');
  connection.say({ action: 'lock', ref, id: '8', state: 'enqueued' });
  connection.say({ action: 'lock', ref, id: '9', state: 'acquired' });
  assert.equal(connection.isOver, true);
  const next = server.reconnection();
  next.connection.say(...resumed(next.hello.ref));
  await refused;
});

test('the connection ends in the middle of a grant: the list of locks decides', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const [first, second] = [client.lock(write('a')), client.lock(write('b'))];
  await null;
  const [one, two] = [connection.take('lock'), connection.take('lock')];
  connection.end(new Error('cut'));
  const next = server.reconnection();
  next.connection.say(...resumed(next.hello.ref, { ref: one.ref, id: '7', state: 'acquired' }));
  assert.equal((await first).id, '7');
  assert.equal(next.connection.take('lock').ref, two.ref);
  next.connection.say({ action: 'lock', ref: two.ref, id: '8', state: 'acquired' });
  assert.equal((await second).id, '8');
});

test('a request cancelled before its answer is released after it', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const controller = new AbortController();
  const wait = client.lock(write('a'), { signal: controller.signal });
  await null;
  const { ref } = connection.take('lock');
  controller.abort(new Error('enough'));
  await assert.rejects(wait, /enough/);
  assert.equal(connection.heard.length, 0, 'it has no id yet');
  connection.say({ action: 'lock', ref, id: '7', state: 'acquired' });
  const release = connection.take('release');
  connection.say({
    action: 'release',
    ref: release.ref,
    error: { code: 'no_such_lock', message: '' },
  });
  assert.equal(client.isConnected, true);
});

test('a wait that is cancelled leaves the queue, whatever crosses the release', async (t) => {
  for (const state of ['acquired', 'timeout', 'evicted', undefined]) {
    const server = new ScriptedServer();
    const { client, connection } = await server.join(t);
    const controller = new AbortController();
    const wait = client.lock(write('a'), { signal: controller.signal });
    await null;
    const { ref } = connection.take('lock');
    connection.say({ action: 'lock', ref, id: '7', state: 'enqueued' });
    controller.abort(new Error('enough'));
    await assert.rejects(wait, /enough/);
    const release = connection.take('release');
    if (state !== undefined) connection.say({ action: 'lock', ref, id: '7', state });
    const isGone = state !== undefined && state !== 'acquired';
    const answer = isGone
      ? { error: { code: 'no_such_lock', message: '' } }
      : { id: '7', state: 'released' };
    connection.say({ action: 'release', ref: release.ref, ...answer });
    assert.equal(client.isConnected, true);
    assert.equal(server.isKeptAlive, false);
  }
});

test('a session taken over by another connection: its locks are lost, and it is not taken back', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  connection.say({ error: { code: 'taken_over', message: 'it is another one now' } });
  assert.ok(lock.signal.reason instanceof LockLostError);
  assert.equal(lock.signal.reason.code, 'taken_over');
  const next = server.reconnection();
  assert.equal(next.hello.session, undefined);
});

test('a server that restarts or is not the owner costs no lock: the next address is tried', async (t) => {
  for (const code of ['restarting', 'not_owner']) {
    const server = new ScriptedServer();
    const { client, connection } = await server.join(t);
    const { lock, ref } = await granted(client, connection);
    connection.say({ error: { code, message: 'elsewhere' } });
    assert.equal(connection.isOver, true);
    const next = server.reconnection(25);
    assert.notEqual(next.connection.address, connection.address);
    next.connection.say({
      action: 'hello',
      ref: next.hello.ref,
      error: { code, message: 'elsewhere' },
    });
    const last = server.reconnection(25);
    assert.equal(last.connection.address, connection.address);
    last.connection.say(...resumed(last.hello.ref, { ref, id: '7', state: 'acquired' }));
    assert.equal(lock.isHeld, true);
  }
});

const notOwner = (owner: unknown): Message => ({
  error: { code: 'not_owner', message: 'elsewhere', owner },
});

/** The next connection, opened, its hello taken; it was begun without a pause. */
function nextConnection(server: ScriptedServer): Connection {
  return server.reconnection(0).connection;
}

test('the address that a server names as the owner is tried next', async (t) => {
  for (const scheme of ['locktopus', 'ws']) {
    const server = new ScriptedServer();
    const { client, connection } = await server.join(t, {}, `${scheme}://a,b:80,[::1]:7,C:80/shop`);
    const { lock, ref } = await granted(client, connection);
    connection.say(notOwner('[::1]:7'));
    const owner = server.reconnection(25);
    assert.equal(owner.connection.address, `${scheme}://[::1]:7`);
    owner.connection.say(notOwner('c:80'));
    const other = nextConnection(server);
    assert.match(other.address, /C:80$/);
    other.say(notOwner('[::1]:7'));
    // Those that were not tried yet, in their order.
    const first = nextConnection(server);
    assert.match(first.address, /a(:9009)?$/);
    first.end();
    const second = nextConnection(server);
    assert.match(second.address, /b:80$/);
    second.say(notOwner('C:80'));
    // All were tried: after a pause it begins with the one that was named last.
    assert.equal(server.hasConnection, false);
    const last = server.reconnection(50);
    assert.equal(last.connection.address, other.address);
    last.connection.say(...resumed(last.hello.ref, { ref, id: '7', state: 'acquired' }));
    assert.equal(lock.isHeld, true);
  }
});

test('a server can lead a client, and its token, only to addresses of its URL', async (t) => {
  const server = new ScriptedServer();
  const { connection } = await server.join(t, { token: 'secret' }, 'locktopus://a,b,c');
  connection.end();
  for (const owner of [
    'evil:9009',
    'b:9010',
    'b',
    '',
    '::',
    'a,b:9009',
    '/b:9009',
    'x'.repeat(9e4),
  ]) {
    server.clock.advance(5000);
    for (const name of ['a', 'b', 'c']) {
      const next = nextConnection(server);
      assert.equal(next.address, `locktopus://${name}:9009`);
      next.say(notOwner(owner));
    }
    assert.equal(server.hasConnection, false);
  }
});

test('servers that name each other, or themselves, as the owner make no busy loop', async (t) => {
  for (const [a, b] of [
    ['b:9009', 'a:9009'],
    ['a:9009', 'b:9009'],
  ]) {
    const server = new ScriptedServer();
    const { connection } = await server.join(t);
    connection.end();
    let connections = 0;
    for (let ms = 0; ms < 10_000; ms++) {
      server.clock.advance(1);
      while (server.hasConnection) {
        const next = nextConnection(server);
        next.say(notOwner(next.address.includes('a') ? a : b));
        connections++;
      }
    }
    // Pauses grow from 25 ms until they are half of the time between two pings.
    assert.ok(connections < 40, `${connections}`);
  }
});

/** A client that starts; `refuse` is what a says, b is not there. */
function starting(refuse: Message) {
  const server = new ScriptedServer();
  const client = connectClient(server.environment, parseUrl('locktopus://a,b'), {});
  let rounds = 0;
  /** Goes on for so long, as long as there are connections. */
  const run = (ms: number): void => {
    for (let i = 0; i < ms; i++) {
      server.clock.advance(1);
      while (server.hasConnection) {
        const next = server.connection();
        if (next.address.includes('b')) next.end(new Error('refused'));
        else {
          rounds++;
          next.open();
          next.say(refuse);
        }
      }
    }
  };
  return { server, client, run, rounds: () => rounds };
}

test('a client that starts waits for a server that is about to serve', async () => {
  for (const refuse of [
    notOwner('b:9009'),
    notOwner('a:9009'),
    notOwner(undefined),
    { error: { code: 'restarting', message: 'in a moment' } },
  ]) {
    const { server, client, run } = starting(refuse);
    run(12_000);
    while (!server.hasConnection) server.clock.advance(1);
    const connection = server.connection();
    connection.open();
    connection.say(greeting(connection.take('hello').ref));
    const closed = (await client).close();
    server.clock.advance(5000);
    await closed;
  }
});

test('but not for one that it was not given, nor forever', async () => {
  const elsewhere = starting(notOwner('c:9009'));
  elsewhere.run(1);
  await assert.rejects(elsewhere.client, {
    code: 'unreachable',
    message: /^no lock server serves here/,
  });
  const forever = starting(notOwner('b:9009'));
  const rejected = assert.rejects(forever.client, { code: 'unreachable' });
  forever.run(20_000);
  await rejected;
  assert.ok(forever.rounds() > 5 && forever.rounds() < 30, `${forever.rounds()}`);
  assert.equal(forever.server.hasConnection, false);
});

test('an owner that is no text is a breach', async (t) => {
  const server = new ScriptedServer();
  const { connection } = await server.join(t);
  connection.say(notOwner(7));
  assert.equal(connection.isOver, true);
});

test('a token that is not valid any more rejects all waits with the message of the server', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t, { token: 'secret' });
  connection.end();
  const wait = client.lock(write('a'));
  const stats = client.stats();
  for (let i = 0; i < 2; i++) {
    const next = server.reconnection();
    assert.equal(next.hello.token, 'secret');
    const error = { code: 'unauthorized', message: 'invalid token' };
    next.connection.say({ action: 'hello', ref: next.hello.ref, error });
  }
  await assert.rejects(wait, { code: 'unauthorized', message: 'invalid token' });
  await assert.rejects(stats, { code: 'unauthorized' });
});

test('a deadlock error has its cycle', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const wait = client.lock(write('a'), { owner: 'me' });
  await null;
  const { ref, owner } = connection.take('lock');
  assert.equal(owner, 'me');
  const step = { owner: 'me', id: '7', waitsFor: '6', relation: 'same', path: ['a'] };
  const error = { code: 'deadlock', message: '"me" waits for "me"', cycle: [step] };
  connection.say({ action: 'lock', ref, error });
  await assert.rejects(wait, (thrown: DeadlockError) => {
    assert.deepEqual(thrown.cycle, [step]);
    return true;
  });
});

test('an abandon timeout too short for any trust is refused', async () => {
  const server = new ScriptedServer();
  const joining = connectClient(server.environment, parseUrl('locktopus://a'), {});
  const connection: Connection = server.connection();
  connection.open();
  const { ref } = connection.take('hello');
  connection.say(greeting(ref, { abandonTimeoutMs: 0 }));
  await assert.rejects(joining, /set abandonTimeoutMs to at least 100/);
});

test('half a message, and a message that never ends, are breaches', async (t) => {
  const listener = createServer((socket) => {
    socket.on('error', () => {});
    socket.write('{"action":"hello","ref":1,');
    if (mode === 'half') socket.end();
    else for (let i = 0; i < 17; i++) socket.write('x'.repeat(2 ** 20));
  }).listen(0, '127.0.0.1');
  let mode = 'half';
  await once(listener, 'listening');
  t.after(() => listener.close());
  const { port } = listener.address() as { port: number };
  const url = `locktopus://127.0.0.1:${port}`;
  await assert.rejects(connect(url), /the connection to .* was closed/);
  mode = 'endless';
  await assert.rejects(connect(url), /the server sent a line without an end/);
});

test('requests made in a handler of a loss go to the next session', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  const controller = new AbortController();
  let wait: Promise<unknown> | undefined;
  let cancelled: Promise<unknown> | undefined;
  lock.signal.addEventListener('abort', () => {
    wait = client.lock(write('a'));
    cancelled = client.lock(write('b'), { signal: controller.signal });
  });
  connection.say({ error: { code: 'shutting_down', message: 'the server is stopping' } });
  await null;
  controller.abort(new Error('enough'));
  assert.ok(wait !== undefined && cancelled !== undefined);
  await assert.rejects(cancelled, /enough/);
  assert.equal(connection.heard.length, 0);
  const next = server.reconnection();
  next.connection.say(greeting(next.hello.ref, { session: 's2' }));
  const { ref } = next.connection.take('lock');
  assert.equal(next.connection.heard.length, 0);
  next.connection.say({ action: 'lock', ref, id: '8', state: 'acquired' });
  await wait;
});

test('requests made in a handler of a missing lock are sent once', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const { lock } = await granted(client, connection);
  const wait = client.lock(write('b'));
  await null;
  const { ref } = connection.take('lock');
  let more: Promise<unknown> | undefined;
  lock.signal.addEventListener('abort', () => {
    more = Promise.all([client.lock(write('a')), client.stats()]);
  });
  connection.end();
  const next = server.reconnection();
  next.connection.say(...resumed(next.hello.ref));
  await null;
  assert.deepEqual(
    next.connection.heard.map(({ action }) => action),
    ['lock', 'lock', 'stats'],
  );
  assert.equal(next.connection.take('lock').ref, ref);
  next.connection.say({ action: 'lock', ref, id: '8', state: 'acquired' });
  const held = await wait;
  next.connection.say({ action: 'lock', ref, id: '8', state: 'acquired' });
  assert.equal(next.connection.isOver, true, 'what is held is not granted again');
  assert.equal(held.isHeld, true);
  void more?.catch(() => {});
});

test('a client that is closed in a handler of a loss sends nothing more', async (t) => {
  for (const lose of ['evicted', 'unconfirmed', 'no session'] as const) {
    const server = new ScriptedServer();
    const { client, connection } = await server.join(t);
    const { lock } = await granted(client, connection);
    let closed: Promise<void> | undefined;
    lock.signal.addEventListener('abort', () => {
      closed = client.close();
    });
    if (lose === 'evicted') connection.say({ error: { code: 'evicted', message: 'out' } });
    if (lose === 'unconfirmed') server.clock.advance(ABANDON_MS);
    if (lose === 'no session') {
      connection.end();
      const next = server.reconnection();
      const error = { code: 'no_such_session', message: 'gone' };
      next.connection.say({ action: 'hello', ref: next.hello.ref, error });
      assert.equal(next.connection.heard.length, 0);
    }
    server.clock.advance(5000);
    await closed;
    assert.equal(server.hasConnection, lose === 'unconfirmed', 'no other one is sought');
    assert.equal(server.clock.pendingTimers, 0);
    await assert.rejects(client.lock(write('a')), { code: 'closed' });
  }
});
