/**
 * JSON as strange as it comes, and bytes that are none: what is answered to each, over a real socket.
 * After each the same connection still answers, unless the table says that it ends.
 */
import assert from 'node:assert/strict';
import { Buffer, isUtf8 } from 'node:buffer';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { type LineClient, lock, type Reply, write } from '../support/line-client.ts';
import { codeOf, setUp, take } from '../support/line-server.ts';
import { startV1 } from '../support/v1-client.ts';

const MIB = 1024 * 1024;
const ENDS = 'ends';

/** The value of a field of a lock with nothing else wrong; `json` as it stands on the wire. */
function lockWith(field: string, json: string): string {
  return `{"action":"lock","resources":[{"type":"read","path":["a"]}],"${field}":${json}}`;
}

function lockOn(path: string): string {
  return `{"action":"lock","resources":[{"type":"write","path":${path}}]}`;
}

function limited(json: string): string {
  return `{"action":"lock","resources":[{"type":"read","path":[],"limit":${json}}]}`;
}

/** An object of that many fields around `field`. */
function crowded(count: number, field: string): string {
  return `{${Array.from({ length: count }, (_, i) => `"k${i}":0`).join(',')},${field}}`;
}

type Row = readonly [
  what: string,
  line: string | Buffer,
  /** The code of the error, or fields of the answer. */
  answer: string | Reply,
  /** A line that is over the limit ends the connection. */
  end?: typeof ENDS,
];

const SHAPES: readonly Row[] = [
  ['a mebibyte of [', '['.repeat(MIB), 'bad_json'],
  ['a mebibyte of {"a":', '{"a":'.repeat(MIB / 5), 'bad_request'],
  ['a mebibyte of "', '"'.repeat(MIB), 'bad_json'],
  ['half a mebibyte of [ and as many ]', '['.repeat(MIB / 2) + ']'.repeat(MIB / 2), 'bad_json'],
  ['a path nested deep', lockOn('['.repeat(5000) + ']'.repeat(5000)), 'bad_request'],
  ['a string of nearly a mebibyte', `"${'x'.repeat(MIB - 2)}"`, 'bad_json'],
  ['an action of nearly a mebibyte', `{"action":"${'x'.repeat(MIB - 13)}"}`, 'unknown_action'],
  ['100,000 fields', crowded(80_000, '"action":"ping"'), 'bad_request'],
  ['100,000 times one field', `{${'"ref":1,'.repeat(100_000)}"action":"ping"}`, 'bad_request'],
  ['100,000 segments', lockOn(`[${'"",'.repeat(100_000)}""]`), 'path_too_long'],
  ['two objects', '{"action":"ping"}{"action":"ping"}', 'bad_json'],
  ['a comma too many', '{"action":"ping",}', 'bad_json'],
  ['a comment', '{"action":"ping"/* */}', 'bad_json'],
  ['quotes of the other kind', "{'action':'ping'}", 'bad_json'],
  ['a control character in a string', '{"action":"ping","ref":"\u0001"}', 'bad_json'],
  ['NUL after it', '{"action":"ping"}\0', 'bad_json'],
  ['NUL in a string', '{"action":"ping","ref":"\0"}', 'bad_json'],
  ['NUL, escaped', '{"action":"ping","ref":"\\u0000"}', { ref: '\0' }],
  ['a byte order mark', '\ufeff{"action":"ping"}', 'bad_json'],
  ['a byte order mark inside', '{"action":"ping","ref":"\ufeff"}', { ref: '\ufeff' }],
  ['UTF-16, little end first', Buffer.from('{"action":"ping"}', 'utf16le'), 'bad_json'],
  ['UTF-16 with its mark', Buffer.from('\ufeff{"action":"ping"}', 'utf16le'), 'bad_utf8'],
  ['a surrogate as bytes', Buffer.from('7b22eda08022 3a307d'.replace(' ', ''), 'hex'), 'bad_utf8'],
  ['an overlong quote', Buffer.from('7bc0a2', 'hex'), 'bad_utf8'],
  ['CR alone between two messages', '{"action":"ping"}\r{"action":"ping"}', 'bad_json'],
  ['CR for blank', '\r{"action":\r"ping"}\r\r', { action: 'ping' }],
  ['other blanks than JSON knows', '\u00a0{"action":"ping"}', 'bad_json'],
];

const KEYS: readonly Row[] = [
  ['the same field twice, the last good', '{"action":"fly","action":"ping"}', { action: 'ping' }],
  ['the same field twice, the last bad', '{"action":"ping","action":"fly"}', 'unknown_action'],
  ['two paths, the last counts', '{"action":"unwatch","path":1,"path":["a"]}', { path: ['a'] }],
  ['a field spelt with an escape', '{"\\u0061ction":"ping"}', { action: 'ping' }],
  ['a field with a NUL', '{"action\\u0000":"ping"}', 'unknown_action'],
  ['__proto__ for a message', '{"__proto__":{"action":"ping"}}', 'unknown_action'],
  ['__proto__ beside an action', '{"action":"ping","__proto__":{"ref":1}}', 'bad_request'],
  ['constructor beside an action', '{"action":"ping","constructor":1}', 'bad_request'],
  [
    'a resource out of __proto__',
    '{"action":"lock","resources":[{"__proto__":{"type":"read","path":[]}}]}',
    'bad_request',
  ],
  [
    'a type that every object has',
    '{"action":"lock","resources":[{"type":"toString","path":[]}]}',
    'bad_request',
  ],
  [
    'an array that is an object',
    '{"action":"lock","resources":{"length":1,"0":{}}}',
    'bad_request',
  ],
  ['a path that is an object', lockOn('{"length":0}'), 'bad_request'],
  ...['__proto__', 'constructor', 'toString', 'valueOf'].flatMap((word): Row[] => [
    [`${word} as a field`, `{"action":"ping","${word}":0}`, 'bad_request'],
    [`${word} as the action`, `{"action":"${word}"}`, 'unknown_action'],
    [`${word} as a segment`, lockOn(`["${word}","${word}"]`), { state: 'acquired' }],
    [`${word} as a ref`, `{"action":"ping","ref":"${word}"}`, { ref: word }],
    [
      `${word} as the ref of a lock`,
      lockWith('ref', `"${word}"`),
      { ref: word, state: 'acquired' },
    ],
    [`${word} as an owner`, lockWith('owner', `"${word}"`), { state: 'acquired' }],
    [`${word} as a label`, lockWith('label', `"${word}"`), { state: 'acquired' }],
    [`${word} as an id`, `{"action":"release","id":"${word}"}`, 'bad_request'],
  ]),
];

/** Not integers of at least `min` that are exact: refused wherever a number stands. */
const BAD_NUMBERS = [
  '1e400',
  '-1e400',
  '1e21',
  '9007199254740992',
  '9007199254740993',
  '0.5',
  '-1',
  '1e-400x',
  '1e308',
  `1${'0'.repeat(10_000)}`,
  '"1"',
  '[1]',
  'true',
  'null',
];

/** Written oddly, but integers. */
const ODD_INTEGERS = [
  '1.0',
  '1e0',
  '10e-1',
  '0.1e1',
  `1.${'0'.repeat(10_000)}`,
  '9007199254740991',
];

const NUMERIC: readonly (readonly [
  field: string,
  message: (json: string) => string,
  answer: Reply,
])[] = [
  ['waitMs', (json) => lockWith('waitMs', json), { state: 'acquired' }],
  ['holdMs', (json) => lockWith('holdMs', json), { state: 'acquired' }],
  ['limit', limited, { state: 'acquired' }],
];

const NUMBERS: readonly Row[] = [
  ...NUMERIC.flatMap(([field, message, answer]): Row[] => [
    ...BAD_NUMBERS.map(
      (json): Row => [
        `${json.slice(0, 20)} for ${field}`,
        message(json),
        json.endsWith('x') ? 'bad_json' : 'bad_request',
      ],
    ),
    ...ODD_INTEGERS.map(
      (json): Row => [`${json.slice(0, 20)} for ${field}`, message(json), answer],
    ),
  ]),
  ['-0 for waitMs', lockWith('waitMs', '-0'), { state: 'acquired' }],
  ['-0 for holdMs', lockWith('holdMs', '-0'), 'bad_request'],
  ['-0 for limit', limited('-0'), 'bad_request'],
  ['1e-400 for waitMs, which is 0', lockWith('waitMs', '1e-400'), { state: 'acquired' }],
  ['1e400 for a ref', '{"action":"ping","ref":1e400}', 'bad_request'],
  ['1e21 for a ref', '{"action":"ping","ref":1e21}', 'bad_request'],
  ['2^53 for a ref', '{"action":"ping","ref":9007199254740992}', 'bad_request'],
  ['2^53 - 1 for a ref', '{"action":"ping","ref":9007199254740991}', { ref: 9007199254740991 }],
  ['-0 for a ref, which is 0', '{"action":"ping","ref":-0}', { ref: 0 }],
  ['1e400 for max', '{"action":"inspect","max":1e400}', 'bad_request'],
  ['2^53 for an id', '{"action":"release","id":"9007199254740992"}', 'bad_request'],
  ['1e3 for an id', '{"action":"release","id":"1e3"}', 'bad_request'],
  ['digits of another script for an id', '{"action":"release","id":"١"}', 'bad_request'],
  ['a number for an id', '{"action":"release","id":1}', 'bad_request'],
  ['a blank id', '{"action":"release","id":" 1"}', 'bad_request'],
];

async function expectAnswer(client: LineClient, row: Row): Promise<void> {
  const [what, line, answer, end] = row;
  client.sendRaw(Buffer.concat([Buffer.from(line as string), Buffer.from('\n')]));
  const reply = await client.next();
  if (typeof answer === 'string') assert.equal(codeOf(reply), answer, what);
  else
    for (const [field, value] of Object.entries(answer))
      assert.deepEqual(reply[field], value, `${what}: ${JSON.stringify(reply)}`);
  if (end === ENDS) {
    assert.deepEqual(await client.ended(), [], what);
    return;
  }
  if (reply.state === 'acquired') {
    assert.equal((await client.ask({ action: 'release', id: reply.id })).state, 'released');
  }
  assert.deepEqual(await client.ask({ action: 'ping' }), { action: 'ping' }, what);
}

for (const [title, rows] of [
  ['odd shapes', SHAPES],
  ['odd keys', KEYS],
  ['odd numbers', NUMBERS],
] as const) {
  test(`${title} get the answer of the table, and the connection stays good`, async (t) => {
    const { connect, server } = await setUp(t);
    const client = await connect();
    await client.ask({ action: 'ping' });
    for (const row of rows) await expectAnswer(client, row);
    assert.equal(server.counts.acquired, 0);
  });

  test(`${title} as the first message: what is no object ends the connection`, async (t) => {
    const { connect } = await setUp(t);
    for (const [what, line, told] of rows) {
      // Nothing but a line that begins as an object does is looked at any further.
      const isObject = /^\s*\{/.test(Buffer.from(line).toString('latin1'));
      const isEnd = told === 'bad_json' || told === 'bad_utf8';
      const answer = isEnd && !isObject ? 'bad_json' : told;
      // One of each kind of answer will do: the table above has them all.
      if (!isEnd && rows.find((row) => row[2] === answer)?.[0] !== what) continue;
      await expectAnswer(
        await connect(),
        isEnd ? [what, line, answer, ENDS] : [what, line, answer],
      );
    }
  });
}

test('odd numbers in hello and inspect are judged as they are in a lock', async (t) => {
  const { connect, clock } = await setUp(t);
  const client = await connect();
  const codeFor = async (message: string): Promise<unknown> => {
    client.sendRaw(`${message}\n`);
    return codeOf(await client.next());
  };
  for (const json of BAD_NUMBERS.filter((text) => !text.endsWith('x'))) {
    const fields = ['abandonTimeoutMs', 'heartbeatMs'].map(
      (name) => `{"action":"hello","${name}":${json}}`,
    );
    for (const message of [...fields, `{"action":"inspect","max":${json}}`]) {
      assert.equal(await codeFor(message), 'bad_request', message.slice(0, 60));
    }
  }
  for (const json of ODD_INTEGERS) {
    const polite = await connect();
    polite.sendRaw(`{"action":"hello","abandonTimeoutMs":${json},"heartbeatMs":${json}}\n`);
    const reply = await polite.next();
    assert.deepEqual([reply.abandonTimeoutMs, reply.heartbeatMs], [Number(json), Number(json)]);
    polite.socket.destroy();
  }
  assert.ok(clock.pendingTimers > 0);
});

test('-0 never waits, as 0 does not, and is told as 0', async (t) => {
  const { connect } = await setUp(t);
  const [holder, client] = [await connect(), await connect()];
  const hello = '{"action":"hello","abandonTimeoutMs":-0}\n';
  client.sendRaw(hello);
  assert.match(await client.nextLine(), /"abandonTimeoutMs":0,/);
  await holder.ask(lock(write('a')));
  client.sendRaw(`${lockWith('waitMs', '-0')}\n`);
  assert.equal((await client.next()).state, 'timeout');
});

test('a line of exactly the limit is read; of one byte more, whatever it is, ends the connection', async (t) => {
  const limit = 2000;
  const { connect } = await setUp(t, { limits: { maxMessageBytes: limit } });
  for (const filler of [' ', '\t', '\r']) {
    const exact = `{"action":"ping"}${filler.repeat(limit - 17)}`;
    const client = await connect();
    await expectAnswer(client, ['the limit', exact, { action: 'ping' }]);
    await expectAnswer(client, ['one more', `${exact} `, 'message_too_long', ENDS]);
  }
  const client = await connect();
  client.sendRaw('{'.repeat(limit + 1));
  assert.equal(codeOf(await client.next()), 'message_too_long', 'the line feed is not waited for');
});

/** Strings that must not be taken for one another, as JSON: some are no text, some look alike. */
const LOOKALIKES = [
  '"\\ud800"',
  '"\\udbff"',
  '"\\udc00"',
  '"\\udfff"',
  '"\\udc00\\ud800"',
  '"\\ufffd"',
  '"\\ufffd\\ufffd"',
  '"?"',
  '""',
  '"\\u0000"',
  '"\\u0000\\u0000"',
  '"\\ud83d\\udc19"',
  '"\\ud83d"',
  '"\\udc19"',
  '"\\u00e9"',
  '"e\\u0301"',
  '"__proto__"',
  '"a/b"',
  '"a"',
  '"A"',
  '"a "',
  '"a\\u0000"',
  '"\\ufeffa"',
];

test('segments that look alike are different, and the answers are UTF-8', async (t) => {
  const { connect, server } = await setUp(t);
  const client = await connect();
  const bytes: Buffer[] = [];
  client.sendRaw(LOOKALIKES.map((json) => `${lockOn(`[${json}]`)}\n`).join(''));
  const replies = await take(client, LOOKALIKES.length);
  assert.ok(replies.every(({ state }) => state === 'acquired'));
  assert.equal(server.counts.acquired, LOOKALIKES.length);

  client.socket.setEncoding('latin1');
  const latin1 = client.socket;
  latin1.on('data', (text: string) => bytes.push(Buffer.from(text, 'latin1')));
  client.sendRaw('{"action":"inspect"}\n');
  const seen: unknown[] = [];
  for (let line = await client.nextLine(); ; line = await client.nextLine()) {
    const raw = Buffer.from(line, 'latin1');
    assert.ok(isUtf8(raw));
    const reply: Reply = JSON.parse(raw.toString());
    if (reply.end === true) break;
    seen.push(...(reply.resources as { path: string[] }[]).flatMap(({ path }) => path));
  }
  assert.deepEqual(
    seen,
    LOOKALIKES.map((json) => JSON.parse(json)),
    'each is told as it was asked for',
  );
});

test('refs that look alike are different, and come back as they were', async (t) => {
  const { connect, server } = await setUp(t);
  const client = await connect();
  const refs = [...LOOKALIKES, '0', '"0"', '1', '"1"'];
  for (const ref of refs) {
    client.sendRaw(`${lockWith('ref', ref)}\n`);
    const reply = await client.next();
    assert.deepEqual([reply.ref, reply.state], [JSON.parse(ref), 'acquired']);
  }
  assert.equal(server.counts.acquired, refs.length);
});

test('owners that look alike are different: none waits for itself', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  client.sendRaw('{"action":"lock","resources":[{"type":"write","path":["x"]}],"owner":"first"}\n');
  await client.next();
  for (const owner of LOOKALIKES) {
    client.sendRaw(
      `{"action":"lock","resources":[{"type":"write","path":["x"]}],"owner":${owner}}\n`,
    );
    assert.equal((await client.next()).state, 'enqueued', owner);
  }
});

test('namespaces that look alike are different, and told as they are', async (t) => {
  const { connect, server } = await setUp(t);
  const names = LOOKALIKES.filter((json) => json !== '""');
  for (const json of names) {
    const client = await connect();
    client.sendRaw(`{"action":"hello","namespace":${json}}\n`);
    assert.equal((await client.next()).namespace, JSON.parse(json));
    assert.equal((await client.ask(lock(write()))).state, 'acquired', json);
  }
  assert.equal(server.counts.namespaces, names.length);
});

test('in v1 any of it is a sentence and the end, or a lock like any other', async (t) => {
  const server = await startV1(t);
  for (const line of [
    '['.repeat(MIB),
    '\ufeff{}',
    '{"__proto__":{"action":"lock"}}',
    lockOn('[1e400]'),
    '{"action":"toString"}',
    '{"action":"\\ud800"}',
  ]) {
    const client = await server.connect();
    client.socket.send(line);
    const { code, unread } = await client.closed();
    assert.equal(code, 3000);
    assert.equal(unread.length, 1);
  }
  const client = await server.connect();
  client.socket.send(
    '{"action":"fly","action":"lock","resources":[{"type":"w","path":["__proto__","\\ud800"],"toString":1}]}',
  );
  assert.match(await client.next(), /"state":"acquired"/);
});

test('odd bytes sent as one packet with good ones cost nothing but their own line', async (t: TestContext) => {
  const { connect } = await setUp(t);
  const client = await connect();
  const bad = [
    Buffer.from('c328', 'hex'),
    Buffer.from('[1'),
    Buffer.from('\ufeff{}'),
    Buffer.from('{"a":1}'),
  ];
  const good = (ref: number) => Buffer.from(`{"action":"ping","ref":${ref}}`);
  const lines = [good(0), ...bad.flatMap((bytes, i) => [bytes, good(i + 1)])];
  client.sendRaw(Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')])));
  const replies = await take(client, lines.length);
  assert.deepEqual(
    replies.map((reply) => codeOf(reply) ?? reply.ref),
    [0, 'bad_utf8', 1, 'bad_json', 2, 'bad_json', 3, 'unknown_action', 4],
  );
  client.socket.end();
  await once(client.socket, 'close');
});
