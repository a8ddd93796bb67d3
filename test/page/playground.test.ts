/** The playground without a browser: what is typed, and a connection against scripted replies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limited, read, write } from '../../src/client/resources.ts';
import type { TransportEvents } from '../../src/client/transport.ts';
import { RawConnection } from '../../src/page/raw-connection.ts';
import { SCENES } from '../../src/page/scenes.ts';
import { parseTyped } from '../../src/page/typed-resources.ts';

const ABANDON_MS = 20_000;
const LIMITS = { protocol: 2, version: '0', abandonTimeoutMs: ABANDON_MS };

test('resources are typed as words, or as on the command line', () => {
  const cases: [string, unknown][] = [
    ['', []],
    ['w orders/17 r prices', [write('orders', 17), read('prices')]],
    ['write a b read c', [write('a'), write('b'), read('c')]],
    ['w:a r4:gpu r2 x', [write('a'), limited(4, 'gpu'), limited(2, 'x')]],
    ['w w r r', [write('w'), read('r')]],
    ['w / r "my orders"/a\\/b', [write(), read('my orders', 'a/b')]],
  ];
  for (const [text, resources] of cases) assert.deepEqual(parseTyped(text), resources, text);
  const faults: [string, RegExp][] = [
    ['orders', /write w before orders/],
    ['w', /name a path after w/],
    ['w a r', /name a path after r/],
    ['r0 a', /a limit is at least 1/],
    ['w a//b', /the path has an empty segment/],
    ['w "a', /a quote is not closed/],
  ];
  for (const [text, fault] of faults) assert.match(String(parseTyped(text)), fault, text);
});

/** A connection whose server is the test. */
function scripted() {
  const opened: { events: TransportEvents; sent: string[]; isEnded: boolean }[] = [];
  const clock = { nowMs: 0 };
  const settings = { url: 'ws://x/v2', namespace: 'n', token: undefined, label: 'A' };
  const connection = new RawConnection(
    { ...settings, abandonTimeoutMs: ABANDON_MS },
    (_address, _token, events) => {
      const line = { events, sent: [] as string[], isEnded: false };
      opened.push(line);
      const end = (): void => {
        line.isEnded = true;
      };
      return { send: (text) => line.sent.push(text), close: end, destroy: end };
    },
    () => clock.nowMs,
    { changed: () => {}, lockChanged: () => {} },
  );
  const reply = (fields: object) => opened.at(-1)?.events.message(JSON.stringify(fields));
  const greet = (fields: object = {}) => {
    opened.at(-1)?.events.opened();
    reply({
      action: 'hello',
      session: 'secret',
      sessionId: '1',
      namespace: 'n',
      ...LIMITS,
      ...fields,
    });
  };
  const states = () => connection.locks.map(({ text, state }) => `${text} ${state}`);
  return { connection, opened, clock, reply, greet, states };
}

test('a connection keeps its locks and every message, but no secret', async () => {
  const { connection, opened, reply, greet, states } = scripted();
  const connected = connection.connect();
  greet();
  await connected;
  assert.equal(connection.state, 'open');
  const asked = connection.lock([write('a')]);
  void connection.lock([write('b')]);
  reply({ action: 'lock', ref: 1, id: '7', state: 'enqueued' });
  await asked;
  reply({ action: 'lock', ref: 1, id: '7', state: 'acquired' });
  const message = '"B" waits for "A" waits for "B"';
  reply({ action: 'lock', ref: 2, error: { code: 'deadlock', message } });
  assert.deepEqual(states(), ['w:a held', 'w:b deadlock']);
  assert.equal(connection.locks[1]?.reason, message);
  void connection.release('7');
  reply({ action: 'release', ref: 3, id: '7', state: 'released' });
  assert.deepEqual(states(), ['w:a released', 'w:b deadlock']);
  assert.match(opened[0]?.sent[1] ?? '', /"action":"lock","ref":1,"owner":"A"/);
  assert.equal(connection.messages.length, 9);
  assert.doesNotMatch(JSON.stringify(connection.messages), /secret/);
});

test('a connection that is cut is resumed, with what the server lists of its locks', async () => {
  const { connection, opened, clock, reply, greet, states } = scripted();
  void connection.connect();
  greet();
  for (const name of ['a', 'b']) void connection.lock([write(name)]);
  reply({ action: 'lock', ref: 1, id: '1', state: 'acquired' });
  reply({ action: 'lock', ref: 2, id: '2', state: 'enqueued' });
  connection.cut();
  assert.ok(opened[0]?.isEnded);
  clock.nowMs = 5000;
  assert.deepEqual([connection.state, connection.keptForMs], ['cut', ABANDON_MS - 5000]);
  void connection.connect();
  greet({ resumed: true, locks: 1 });
  assert.match(opened[1]?.sent[0] ?? '', /"session":"secret"/);
  reply({ action: 'lock', ref: 2, id: '2', state: 'acquired' });
  assert.deepEqual(states(), ['w:a lost', 'w:b held']);
  connection.cut();
  clock.nowMs = 5000 + ABANDON_MS;
  connection.tick();
  assert.deepEqual(states(), ['w:a lost', 'w:b abandoned']);
  void connection.connect();
  greet();
  assert.match(opened[2]?.sent[0] ?? '', /"namespace":"n"/, 'a new session');
});

test('a session that the server no longer has is replaced; one that is cut is ended by bye', () => {
  const { connection, opened, reply, greet, states } = scripted();
  void connection.connect();
  greet();
  void connection.lock([write('a')]);
  reply({ action: 'lock', ref: 1, id: '1', state: 'acquired' });
  opened[0]?.events.closed(new Error('close code 1006'));
  assert.equal(connection.state, 'cut');
  void connection.connect();
  opened[1]?.events.opened();
  reply({ action: 'hello', error: { code: 'no_such_session', message: 'gone' } });
  reply({ action: 'hello', session: 's2', sessionId: '2', namespace: 'n', ...LIMITS });
  assert.deepEqual([connection.state, ...states()], ['open', 'w:a abandoned']);
  connection.cut();
  connection.end();
  opened[2]?.events.opened();
  assert.deepEqual(
    opened[2]?.sent.map((text) => JSON.parse(text).action),
    ['hello', 'bye'],
  );
  assert.ok(opened[2]?.isEnded);
});

test('an eviction of the session ends its locks', () => {
  const { connection, reply, greet, states } = scripted();
  void connection.connect();
  greet();
  void connection.lock([write('a')]);
  reply({ action: 'lock', ref: 1, id: '1', state: 'acquired' });
  reply({ error: { code: 'evicted', message: 'an administrator has ended the session' } });
  assert.deepEqual(states(), ['w:a lost']);
});

test('what a scene asks for can be typed', () => {
  for (const { name, steps } of SCENES) {
    for (const { asks } of steps) assert.notEqual(typeof parseTyped(asks), 'string', name);
  }
});
