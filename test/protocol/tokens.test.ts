/** Tokens on the line protocol: nothing without one, a wrong one is answered late, and what stays. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MAX_UNAUTHENTICATED_BYTES, WRONG_TOKEN_DELAY_MS } from '../../src/protocol/auth.ts';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import { piecesOf } from '../support/cut-anywhere.ts';
import { type LineClient, lock, write } from '../support/line-client.ts';
import { codeOf, setUp } from '../support/line-server.ts';
import { NOTHING_LEFT, until } from '../support/running-server.ts';

const TOKEN = 'client-token-0001';
const ADMIN_TOKEN = 'admin-token-00001';
const WRONG = 'wrong-token-00001';

/** A server that wants a token. */
async function setUpClosed(t: TestContext) {
  const all = await setUp(t, { tokens: ['client-token-0000', TOKEN], adminTokens: [ADMIN_TOKEN] });
  /** Lets what the server has sent so far arrive, by way of a client that is let in. */
  const settle = async (): Promise<void> => {
    const friend = await all.connect();
    await friend.ask({ action: 'hello', token: TOKEN });
    await friend.ask({ action: 'bye' });
    await friend.ended();
    friend.socket.destroy();
    await until(() => all.server.counts.sessions === 0);
  };
  return { ...all, settle };
}

for (const token of ['client-token-0000', TOKEN, ADMIN_TOKEN]) {
  test(`whoever shows ${token} in hello is let in`, async (t) => {
    const { connect } = await setUpClosed(t);
    const client = await connect();
    const reply = await client.ask({ action: 'hello', token, namespace: 'shop' });
    assert.equal(reply.namespace, 'shop');
    assert.equal(JSON.stringify(reply).includes('token'), false, 'nobody repeats it');
    assert.equal((await client.ask(lock(write('a')))).state, 'acquired');
  });
}

const UNAUTHENTICATED: readonly (readonly [what: string, message: object])[] = [
  ['a hello without a token', { action: 'hello', ref: 7 }],
  ['a lock', { ...lock(write('a')), ref: 7 }],
  ['an action that is not known', { action: 'steal', ref: 7 }],
  ['a lock that is wrong', { action: 'lock', ref: 7 }],
  ['help', { action: 'help', ref: 7 }],
  ['inspect', { action: 'inspect', ref: 7 }],
  ['evict', { action: 'evict', ref: 7, id: '1' }],
];

for (const [what, message] of UNAUTHENTICATED) {
  test(`${what} as the first message is refused, and ends the connection at once`, async (t) => {
    const { connect, server } = await setUpClosed(t);
    const client = await connect();
    client.send(message, { action: 'hello', token: TOKEN }, lock(write('a')));
    const [refused = {}, ...rest] = await client.ended();
    assert.equal(codeOf(refused), 'unauthorized');
    assert.equal(refused.ref, 7);
    assert.match(JSON.stringify(refused), /authentication required: send hello with a token/);
    assert.deepEqual(rest, []);
    client.socket.destroy();
    await until(() => server.counts.connections === 0);
    assert.deepEqual(server.counts, NOTHING_LEFT);
  });
}

test('a client without a token does not learn that the server is full', async (t) => {
  const { connect } = await setUp(t, { tokens: [TOKEN], limits: { maxSessions: 0 } });
  const unauthenticated = await connect();
  unauthenticated.send({ action: 'hello' });
  assert.deepEqual((await unauthenticated.ended()).map(codeOf), ['unauthorized']);
  const client = await connect();
  assert.equal(codeOf(await client.ask({ action: 'hello', token: TOKEN })), 'too_many_sessions');
});

test('a client without a token does not learn that the server drains', async (t) => {
  const { connect, server, watch } = await setUp(t, { tokens: [TOKEN] });
  const holder = await connect();
  await holder.ask({ action: 'hello', token: TOKEN });
  await holder.ask(lock(write('a')));
  const unauthenticated = await connect();
  unauthenticated.sendRaw('{');
  await watch.until('connected', 2);
  const drained = server.drain(1000);
  assert.equal(codeOf(await holder.next()), 'draining');
  unauthenticated.sendRaw('"action":"hello"}\n');
  assert.deepEqual((await unauthenticated.ended()).map(codeOf), ['unauthorized']);
  unauthenticated.socket.end();
  await holder.ask({ action: 'release' });
  await holder.ended();
  holder.socket.end();
  assert.deepEqual(await drained, { cutOff: 0 });
});

test('the name of a session is no good without a token', async (t) => {
  const { connect, cut } = await setUpClosed(t);
  const client = await connect();
  const { session } = await client.ask({ action: 'hello', token: TOKEN });
  await client.ask(lock(write('a')));
  await cut(client);
  const thief = await connect();
  assert.equal(codeOf(await thief.ask({ action: 'hello', session })), 'unauthorized');
  const back = await connect();
  assert.equal((await back.ask({ action: 'hello', token: TOKEN, session })).resumed, true);
});

test('a mistake in a hello is told as it is; without a token there is no second try', async (t) => {
  const { connect } = await setUpClosed(t);
  const client = await connect();
  client.send({ action: 'hello', token: 7 }, { action: 'hello', token: TOKEN });
  const [told = {}, ...rest] = await client.ended();
  assert.equal(codeOf(told), 'bad_request');
  assert.match(JSON.stringify(told), /token must be .*; closing the connection/);
  assert.deepEqual(rest, []);
  const other = await connect();
  other.sendRaw('GARBAGE\n');
  assert.deepEqual((await other.ended()).map(codeOf), ['bad_json']);
});

test('a mistake in a hello with the right token costs nothing else; with a wrong one, what that costs', async (t) => {
  const { connect, clock, server } = await setUpClosed(t);
  const client = await connect();
  assert.equal(
    codeOf(await client.ask({ action: 'hello', token: TOKEN, lable: 'x' })),
    'bad_request',
  );
  assert.equal((await client.ask({ action: 'hello' })).action, 'hello');
  const guesser = await connect();
  guesser.send({ action: 'hello', token: `${TOKEN}x`, lable: 'x' });
  await client.ask({ action: 'ping' });
  await until(() => server.counts.connections === 2);
  clock.advance(WRONG_TOKEN_DELAY_MS);
  assert.deepEqual((await guesser.ended()).map(codeOf), ['unauthorized']);
});

for (const ref of [null, 2 ** 53, 'x'.repeat(257), {}]) {
  test(`a token counts beside a bad ref, too: ${JSON.stringify(ref).slice(0, 20)}`, async (t) => {
    const { connect, clock, server } = await setUpClosed(t);
    const client = await connect();
    assert.equal(codeOf(await client.ask({ action: 'hello', token: TOKEN, ref })), 'bad_request');
    assert.equal((await client.ask({ action: 'hello' })).action, 'hello');
    const guesser = await connect();
    guesser.send({ action: 'hello', token: WRONG, ref });
    await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
    clock.advance(WRONG_TOKEN_DELAY_MS);
    assert.deepEqual((await guesser.ended()).map(codeOf), ['unauthorized']);
    assert.equal(server.counts.sessions, 1);
  });
}

test('after a session that is no more, the connection goes on without the token', async (t) => {
  const { connect } = await setUpClosed(t);
  const client = await connect();
  const refused = await client.ask({ action: 'hello', token: TOKEN, session: 'gone' });
  assert.equal(codeOf(refused), 'no_such_session');
  assert.equal((await client.ask({ action: 'hello' })).action, 'hello');
});

test('a wrong token is answered a second later, and nothing is looked at until then', async (t) => {
  const { connect, clock, settle, server } = await setUpClosed(t);
  const client = await connect();
  client.send({ action: 'hello', ref: 'g', token: WRONG });
  await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
  client.send({ action: 'hello', token: TOKEN }, lock(write('a')));
  // A line without an end: it must not be kept.
  client.sendRaw('{'.repeat(100_000));
  clock.advance(999);
  await settle();
  assert.deepEqual(client.unread, []);
  clock.advance(1);
  const [refused = {}, ...rest] = await client.ended();
  assert.equal(codeOf(refused), 'unauthorized');
  assert.deepEqual([refused.action, refused.ref], ['hello', 'g']);
  assert.equal(JSON.stringify(refused).includes(WRONG), false);
  assert.deepEqual(rest, []);
  assert.equal(server.counts.sessions, 0);
});

test('who closes its side does not hear any sooner that the token was wrong', async (t) => {
  const { connect, clock, settle } = await setUpClosed(t);
  const client = await connect();
  client.socket.end(`${JSON.stringify({ action: 'hello', token: WRONG })}\n`);
  await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
  clock.advance(999);
  await settle();
  assert.deepEqual(client.unread, []);
  assert.equal(client.socket.readableEnded, false);
  clock.advance(1);
  assert.deepEqual((await client.ended()).map(codeOf), ['unauthorized']);
});

test('who leaves while it waits for the answer leaves nothing behind', async (t) => {
  const { connect, clock, cut, server } = await setUpClosed(t);
  const client = await connect();
  client.send({ action: 'hello', token: WRONG });
  await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
  await cut(client);
  assert.equal(clock.pendingTimers, 0);
  assert.deepEqual(server.counts, NOTHING_LEFT);
});

test('a server that stops does not wait for those who wait for the answer', async (t) => {
  const { connect, clock, server } = await setUpClosed(t);
  const client = await connect();
  client.send({ action: 'hello', token: WRONG });
  await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
  const closed = server.close();
  await client.ended();
  client.socket.end();
  await closed;
  assert.equal(clock.pendingTimers, 0);
});

test('a token that comes byte by byte is as good', async (t) => {
  const { connect } = await setUpClosed(t);
  const client: LineClient = await connect();
  const hello = Buffer.from(`${JSON.stringify({ action: 'hello', token: TOKEN })}\n`);
  for (const piece of piecesOf(hello, 1)) {
    client.sendRaw(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await client.next()).action, 'hello');
});

/** A hello with that token, in a line of exactly so many bytes. */
function helloOf(token: string, bytes: number): string {
  const hello = JSON.stringify({ action: 'hello', token });
  return `${hello}${' '.repeat(bytes - hello.length)}`;
}

test('before its token a client may send only a short line, whether it ends or not; then long ones', async (t) => {
  const { connect } = await setUpClosed(t);
  for (const line of [
    `{${' '.repeat(MAX_UNAUTHENTICATED_BYTES)}`,
    `${helloOf(TOKEN, MAX_UNAUTHENTICATED_BYTES + 1)}\n`,
  ]) {
    const unauthenticated = await connect();
    unauthenticated.sendRaw(line);
    const [refused = {}, ...rest] = await unauthenticated.ended();
    assert.equal(codeOf(refused), 'message_too_long');
    assert.match(JSON.stringify(refused), /at most 16384 bytes before authentication; closing/);
    assert.deepEqual(rest, []);
  }
  const friend = await connect();
  const long = JSON.stringify({ action: 'ping', ref: 1 }).padEnd(DEFAULT_LIMITS.maxMessageBytes);
  friend.sendRaw(`${helloOf(TOKEN, MAX_UNAUTHENTICATED_BYTES)}\n${long}\n${long}`);
  assert.equal((await friend.next()).action, 'hello');
  assert.equal((await friend.next()).action, 'ping');
  friend.sendRaw('\n');
  assert.equal((await friend.next()).action, 'ping');
  friend.sendRaw(`${long} `);
  assert.match(JSON.stringify(await friend.ended()), /may have at most 1048576 bytes; closing/);
});

test('a lower limit of a line holds for unauthenticated clients too', async (t) => {
  const { connect } = await setUp(t, { tokens: [TOKEN], limits: { maxMessageBytes: 100 } });
  const unauthenticated = await connect();
  unauthenticated.sendRaw(`{${' '.repeat(100)}`);
  assert.match(
    JSON.stringify(await unauthenticated.ended()),
    /at most 100 bytes before authentication/,
  );
});

test('where no token is wanted, a first line may be as long as later ones', async (t) => {
  const { connect } = await setUp(t, { adminTokens: [ADMIN_TOKEN] });
  const client = await connect();
  client.sendRaw(`${JSON.stringify({ action: 'ping' }).padEnd(DEFAULT_LIMITS.maxMessageBytes)}\n`);
  assert.equal((await client.next()).action, 'ping');
});

test('a server without tokens does not look at what it is shown', async (t) => {
  const { greet } = await setUp(t);
  const { client } = await greet({ token: WRONG });
  assert.equal((await client.ask({ action: 'evict', id: '1' })).action, 'evict');
});

test('with admin tokens only, everybody may enter, but not with a wrong token', async (t) => {
  const { connect, clock } = await setUp(t, { adminTokens: [ADMIN_TOKEN] });
  const client = await connect();
  assert.equal((await client.ask(lock(write('a')))).state, 'acquired');
  const guesser = await connect();
  guesser.send({ action: 'hello', token: WRONG });
  await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
  clock.advance(1000);
  assert.deepEqual((await guesser.ended()).map(codeOf), ['unauthorized']);
});

test('tokens are changed while the server runs; who has entered stays', async (t) => {
  const { connect, server, clock } = await setUpClosed(t);
  const before = await connect();
  await before.ask({ action: 'hello', token: TOKEN });
  server.setTokens({ client: [WRONG], admin: [] });
  assert.equal((await before.ask(lock(write('a')))).state, 'acquired');
  const after = await connect();
  assert.equal((await after.ask({ action: 'hello', token: WRONG })).action, 'hello');
  const old = await connect();
  old.send({ action: 'hello', token: TOKEN });
  await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
  clock.advance(1000);
  assert.deepEqual((await old.ended()).map(codeOf), ['unauthorized']);
  assert.throws(() => server.setTokens({ client: ['short'], admin: [] }), RangeError);
});
