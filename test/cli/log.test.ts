/** The log of a server in this process: each event as a line for people, and as JSON. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { drainLine } from '../../src/cli/lock-log.ts';
import { LOG_EVENTS, Log } from '../../src/cli/log.ts';
import { run } from '../../src/cli/serve.ts';
import { Changes } from '../support/changes.ts';
import { ask } from '../support/http-client.ts';
import { LineClient, lock, read, write } from '../support/line-client.ts';
import { mustGet, setUp as setUpSessions } from '../support/session-host.ts';

/** A server with its log. */
async function start(t: TestContext, ...args: string[]) {
  const lines: string[] = [];
  const changes = new Changes();
  const running = await run(
    ['--port', '0', '--drain-timeout', '60000', ...args],
    {},
    {
      log(line) {
        lines.push(line);
        changes.notify();
      },
      out: () => assert.fail('no output but the log'),
      err: (text) => assert.fail(text),
      fail: (_code, line) => assert.fail(line),
      hasTerminal: false,
    },
  );
  if (typeof running === 'number') assert.fail(`it ended with ${running}`);
  const [, port] = /127\.0\.0\.1:(\d+)/.exec(lines[0] ?? '') ?? assert.fail();
  /** Waits for a line with that text. */
  const logged = async (part: string): Promise<string> => {
    const find = () => lines.find((line) => line.includes(part));
    await changes.until(() => find() !== undefined);
    return find() ?? '';
  };
  let stopping: Promise<number> | undefined;
  const stop = () => {
    stopping ??= running.stop('SIGTERM');
    return stopping;
  };
  const connect = () => LineClient.connect(t, Number(port));
  return { lines, logged, stop, connect, port: Number(port) };
}

/** A line without its time and what differs from run to run. */
function gist(line: string): string {
  return line
    .replace(/^\S+ /, '')
    .replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS')
    .replaceAll(/\d{10,}/g, 'ID')
    .replaceAll(/\d+ ms/g, 'N ms')
    .replace(/\d connections?/, 'CONNECTIONS')
    .trimEnd();
}

test('text: who, what and for how long; a drain names who still holds', async (t) => {
  const server = await start(t, '--log-clients', '--log-locks');
  const till = await server.connect();
  await till.ask({ action: 'hello', label: 'till\x1b[2J', namespace: 'shop' });
  await till.ask({ ...lock(write('orders', '17')), label: 'checkout' });
  const other = await server.connect();
  const { session } = await other.ask({ action: 'hello', namespace: 'shop' });
  await other.ask(lock(read('orders')));
  // Nothing is said of a wait of less than a millisecond.
  for (const sinceMs = performance.now(); performance.now() < sinceMs + 2; );
  await till.ask({ action: 'release' });
  await other.next();
  till.send({ action: 'bye' });
  await till.ended();
  other.socket.destroy();
  await server.logged('keeps');
  const stopped = server.stop();
  await server.logged('draining');
  const back = await server.connect();
  back.send({ action: 'hello', session }, { action: 'bye' });
  await back.ended();
  assert.equal(await stopped, 0);
  const usual = /^client ADDRESS (connected \(lines\)|disconnected)$/;
  assert.deepEqual(
    server.lines
      .slice(1)
      .map(gist)
      .filter((line) => !usual.test(line)),
    [
      'session 1 "till\\u001b[2J" of ADDRESS began in "shop"',
      'acquired lock ID "checkout" of ADDRESS (session 1 "till\\u001b[2J") in "shop": write ["orders","17"]',
      'session 2 of ADDRESS began in "shop"',
      'enqueued lock ID of ADDRESS (session 2) in "shop": read ["orders"]',
      'released lock ID "checkout" of ADDRESS (session 1 "till\\u001b[2J") in "shop": write ["orders","17"]; held for N ms',
      'acquired lock ID of ADDRESS (session 2) in "shop": read ["orders"]; waited for N ms',
      'client ADDRESS disconnected; session 2 keeps 1 lock held and 0 waiting for N ms unless it is resumed',
      'SIGTERM: stopping (CONNECTIONS, 1 namespace, 1 session, 1 lock held, 0 waiting); a second signal ends the process at once',
      'draining: 1 session holds 1 lock: lock ID of ADDRESS (session 2) in "shop": read ["orders"]',
      'session 2 resumed by ADDRESS, with 1 lock held and 0 waiting',
      'ended lock ID of ADDRESS (session 2) in "shop": read ["orders"]; held for N ms',
      'stopped',
    ],
  );
});

test('JSON: each line is an object with time, level, event and message, and names what it is about', async (t) => {
  const server = await start(
    t,
    '--log-format=json',
    '--log-clients',
    '--log-locks',
    '--slow-lock=1',
  );
  const client = await server.connect();
  await client.ask({ action: 'hello', label: 'till\u202e', abandonTimeoutMs: 1 });
  const { id } = await client.ask({ ...lock(write('a')), label: 'checkout', owner: 'job' });
  await client.ask(lock(write('a')));
  const held = JSON.parse(await server.logged('has been held'));
  const waiting = JSON.parse(await server.logged('has waited'));
  await ask(server.port, '/', { headers: { origin: 'https://evil.example' } });
  await ask(server.port, '/', { headers: { origin: 'https://evil.example' } });
  await client.ask({ action: 'evict', id });
  client.socket.resetAndDestroy();
  await server.logged('session_abandoned');
  assert.equal(await server.stop(), 0);
  const entries = server.lines.map((line) => JSON.parse(line));
  for (const { time, level, event, message } of entries) {
    assert.match(time, /^\d{4}-\d\d-\d\dT.*Z$/);
    assert.equal(level, LOG_EVENTS[event as keyof typeof LOG_EVENTS], event);
    assert.match(message, /^(?!warning: )./);
  }
  for (const line of server.lines)
    assert.match(line, /^[ -~]+\n$/, 'nothing that a terminal obeys');
  assert.deepEqual(
    entries
      .map(({ event }) => event)
      .filter((event) => !/^(client_disconnected|slow_lock)$/.test(event)),
    [
      'started',
      'client_connected',
      'session_began',
      'lock_acquired',
      'lock_enqueued',
      'rejected_request',
      'evicted',
      'lock_ended',
      'lock_acquired',
      'session_abandoned',
      'lock_ended',
      'stopping',
      'stopped',
    ],
    'the second rejected request is one too many for the log',
  );
  const { heldMs, client: address, ...rest } = held;
  assert.ok(heldMs >= 1);
  assert.match(address, /^127\.0\.0\.1:\d+$/);
  assert.deepEqual(
    { ...rest, time: '', message: '' },
    {
      ...{ time: '', level: 'warning', event: 'slow_lock', message: '', id },
      ...{ namespace: 'default', resources: [{ type: 'write', path: ['a'] }], sessionId: '1' },
      ...{ session: 'till\u202e', label: 'checkout', owner: 'job', state: 'acquired' },
    },
  );
  assert.equal(waiting.behind.id, id);
  const rejected = entries.find(({ event }) => event === 'rejected_request');
  assert.match(
    rejected.message,
    /^rejected a request from 127.* --allow-origin "https:\/\/evil\.example"$/,
  );
  const ended = entries.findLast(({ event }) => event === 'lock_ended');
  assert.deepEqual(
    [ended.cause, ended.heldMs >= 0, ended.waitedMs],
    ['abandoned', true, undefined],
  );
});

test('a drain names the locks that are held longest, and counts the others', () => {
  const { open, namespaces } = setUpSessions();
  const session = open('c');
  for (const name of 'abcdefg') mustGet(session, {}, write(name));
  const { text, fields } = drainLine(1, 7, namespaces.ages.held);
  assert.match(
    text,
    /^draining: 1 session holds 7 locks: lock 1 of c .*; lock 5 of c .*; and 2 more$/,
  );
  assert.equal('oldest' in fields && Array.isArray(fields.oldest) && fields.oldest.length, 5);
});

test('lines that the reader of the log did not take are counted in the format of the log', () => {
  const lines: string[] = [];
  const log = new Log('json', (line, droppedLine) => lines.push(droppedLine(2), line));
  log.add('stopped', 'stopped');
  const [dropped, stopped] = lines.map((line) => JSON.parse(line));
  assert.deepEqual([dropped.event, dropped.lines, stopped.event], ['lines_dropped', 2, 'stopped']);
});
