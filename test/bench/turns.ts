/**
 * The longest turn of the event loop while one request causes work for many: for so long all others
 * wait. `node --import tsx test/bench/turns.ts` prints milliseconds of processor time for each.
 */
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Child } from './child.ts';
import { open } from './connection.ts';
import { heldLocks } from './crowd.ts';

const CLIENTS = 5000;
const LOCKS = 10_000;
const RUNS = 7;
const HELD = 'held';
const LF = 0x0a;

/** Counts the lines that a crowd of connections gets. */
class Crowd {
  readonly #sockets: Socket[] = [];
  #missing = 0;
  #arrived = (): void => {};

  async join(port: number, count: number): Promise<void> {
    const onBytes = (buffer: Buffer, length: number): void => {
      for (let i = 0; i < length; i++) if (buffer[i] === LF) this.#missing--;
      if (this.#missing === 0) this.#arrived();
    };
    for (let i = 0; i < count; i++) {
      this.#sockets.push(await open(port, undefined, onBytes, 4096));
    }
  }

  /** Sends `text` on all connections, and waits until so many lines have come on each. */
  async say(text: string, lines = 1): Promise<void> {
    const answered = this.lines(lines);
    for (const socket of this.#sockets) socket.write(text);
    await answered;
  }

  /** Waits for so many more lines on each connection. */
  lines(each: number): Promise<void> {
    this.#missing += each * this.#sockets.length;
    return new Promise((resolve) => {
      this.#arrived = resolve;
    });
  }
}

/** Resolves with the milliseconds of the longest turn since the last call. */
async function longestTurn(server: Child): Promise<number> {
  const { longestMs } = (await server.ask({})) as { longestMs: number };
  return longestMs;
}

interface Work {
  readonly sentence: string;
  /** Brings about what the work needs. */
  prepare(): Promise<void>;
  /** Resolves when all that it causes has arrived. */
  work(): Promise<void>;
  /** Undoes it. */
  after(): Promise<unknown>;
}

async function measure(server: Child, { sentence, ...doing }: Work): Promise<void> {
  const runs: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    await doing.prepare();
    await longestTurn(server);
    await doing.work();
    runs.push(await longestTurn(server));
    await doing.after();
  }
  const sorted = runs.toSorted((a, b) => a - b).map((ms) => ms.toFixed(1));
  console.log(`median ${sorted[RUNS >> 1]}  of ${sorted.join(' ')}  ${sentence}`);
}

const lock = (type: string, name: string): string =>
  `${JSON.stringify({ action: 'lock', resources: [{ type, path: [name] }] })}\n`;
const RELEASE = '{"action":"release"}\n';

/** Many clients that wait for one. */
function crowded(one: Crowd, many: Crowd): Work[] {
  return [
    {
      sentence: `a release lets ${CLIENTS} readers in, a connection each`,
      async prepare() {
        await one.say(lock('write', 'a'));
        await many.say(lock('read', 'a'));
      },
      async work() {
        await Promise.all([many.lines(1), one.say(RELEASE)]);
      },
      after: () => many.say(RELEASE),
    },
    {
      sentence: `a lock has ${CLIENTS} watchers`,
      prepare: () => many.say('{"action":"watch","path":["a"]}\n'),
      async work() {
        await Promise.all([many.lines(2), one.say(lock('write', 'a') + RELEASE, 2)]);
      },
      after: () => many.say('{"action":"unwatch","path":["a"]}\n'),
    },
  ];
}

/** A session of many locks that ends. @param waiter waits for all of them */
function ending(port: number, waiter: Crowd): Work[] {
  let holder: Socket;
  const waits = async (): Promise<void> => {
    holder = await heldLocks(port, LOCKS, HELD, '{"action":"hello","abandonTimeoutMs":100}\n');
    await waiter.say(lock('write', HELD));
  };
  const after = (): Promise<void> => waiter.say(RELEASE);
  return [
    {
      sentence: `bye with ${LOCKS} locks`,
      prepare: waits,
      async work() {
        holder.write('{"action":"bye"}\n');
        await waiter.lines(1);
      },
      after,
    },
    {
      sentence: `a session with ${LOCKS} locks is abandoned`,
      prepare: waits,
      async work() {
        holder.resetAndDestroy();
        await waiter.lines(1);
      },
      after,
    },
  ];
}

const program = fileURLToPath(new URL('./turn-meter.ts', import.meta.url));
const server = new Child('server', [process.execPath, '--import', 'tsx', program]);
const [, port] = (await server.printed(/port (\d+)/)).map(Number);
if (port === undefined) throw new Error('the server names no port');
const [one, many] = [new Crowd(), new Crowd()];
await one.join(port, 1);
await many.join(port, CLIENTS);
for (const work of [...ending(port, one), ...crowded(one, many)]) await measure(server, work);
process.exit();
