/**
 * Connections that do nothing or watch, and locks that are only held: what other work is measured
 * beside.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from './connection.ts';
import { lockRequest } from './requests.ts';

const LF = 0x0a;
/** Requests in one write; each batch is answered before the next is sent. */
const BATCH = 1000;

/**
 * Opens connections that say one thing, are answered, and are silent from then on.
 *
 * @param atOnce whether all connect at the same time, and not one after another
 */
export async function idleConnections(port: number, count: number, atOnce = false): Promise<void> {
  const openOne = async (): Promise<void> => {
    const client = await LineCounter.open(port, 512);
    await client.ask('{"action":"ping"}\n', 1);
  };
  if (atOnce) await Promise.all(Array.from({ length: count }, openOne));
  else for (let i = 0; i < count; i++) await openOne();
}

/**
 * Holds so many locks in one session, two segments each.
 *
 * @param parent the first segment of all
 * @param hello a first request, if it needs one
 */
export async function heldLocks(
  port: number,
  count: number,
  parent: string,
  hello?: string,
): Promise<Socket> {
  const client = await LineCounter.open(port, 64 * 1024);
  if (hello !== undefined) await client.ask(hello, 1);
  for (let from = 0; from < count; from += BATCH) {
    const size = Math.min(BATCH, count - from);
    const requests = Array.from({ length: size }, (_, i) =>
      lockRequest([{ type: 'write', path: [parent, `held ${from + i}`] }]),
    );
    await client.ask(`${requests.join('\n')}\n`, size);
  }
  return client.socket;
}

/**
 * Connections that watch, and are sent what happens there.
 *
 * @param pathsEach how many paths each of them watches, its own, with nothing there; 0: `[]`
 */
export async function watchers(port: number, count: number, pathsEach: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const client = await LineCounter.open(port, 64 * 1024);
    const paths = Array.from({ length: pathsEach }, (_, k) => ['watched', `${i}`, `${k}`]);
    const requests = (pathsEach === 0 ? [[]] : paths).map((path) =>
      JSON.stringify({ action: 'watch', path }),
    );
    await client.ask(`${requests.join('\n')}\n`, requests.length);
    client.ignore();
  }
}

/** Work that is done over and over while it runs; only then does it cost the server anything. */
export class Repeated {
  readonly #doOnce: () => void;
  #isRunning = false;
  #isDoing = false;

  /** @param doOnce does it once, and says with `done` when it is done */
  constructor(doOnce: () => void) {
    this.#doOnce = doOnce;
  }

  start(): void {
    this.#isRunning = true;
    if (!this.#isDoing) this.#again();
  }

  stop(): void {
    this.#isRunning = false;
  }

  done(): void {
    this.#isDoing = false;
    if (this.#isRunning) this.#again();
  }

  #again(): void {
    this.#isDoing = true;
    this.#doOnce();
  }
}

/** A listing of everything, page by page, that begins anew as soon as it has ended. */
export async function inspectLoop(port: number): Promise<Repeated> {
  let tail = '';
  let after = '';
  const pages = new Repeated(() => {
    socket.write(`{"action":"inspect","max":1000${after === '' ? '' : `,"after":"${after}"`}}\n`);
  });
  const onBytes = (buffer: Buffer, length: number): void => {
    // The last line is shorter than this, and nothing follows it.
    tail = (tail + buffer.toString('latin1', Math.max(0, length - 200), length)).slice(-200);
    if (!tail.endsWith('\n') || !tail.includes('"end":true')) return;
    [, after = ''] = /"next":"(\d+)"/.exec(tail) ?? [];
    tail = '';
    pages.done();
  };
  const socket = await open(port, undefined, onBytes, 256 * 1024);
  return pages;
}

/** Locks so many resources at once and releases them, over and over. */
export async function wideLoop(port: number, count: number): Promise<Repeated> {
  const resources = Array.from({ length: count }, (_, i) => ({
    type: 'write' as const,
    path: ['wide', `${i}`],
  }));
  const cycle = Buffer.from(`${lockRequest(resources)}\n{"action":"release"}\n`);
  let missing = 0;
  const cycles = new Repeated(() => {
    missing = 2;
    socket.write(cycle);
  });
  const onBytes = (buffer: Buffer, length: number): void => {
    for (let i = 0; i < length; i++) if (buffer[i] === LF) missing--;
    if (missing === 0) cycles.done();
  };
  const socket = await open(port, undefined, onBytes, 512);
  return cycles;
}

/** Asks for the metrics each second. */
export function metricsLoop(port: number): Repeated {
  const rounds = new Repeated(async () => {
    await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    await sleep(1000);
    rounds.done();
  });
  return rounds;
}

interface CounterState {
  missing: number;
  isIgnored: boolean;
  answered: () => void;
}

class LineCounter {
  readonly socket: Socket;
  readonly #state: CounterState;

  static async open(port: number, readBytes: number): Promise<LineCounter> {
    const state = { missing: 0, isIgnored: false, answered: (): void => {} };
    const onBytes = (buffer: Buffer, length: number): void => {
      if (state.isIgnored) return;
      for (let i = 0; i < length; i++) if (buffer[i] === LF) state.missing--;
      if (state.missing === 0) state.answered();
    };
    return new LineCounter(await open(port, undefined, onBytes, readBytes), state);
  }

  private constructor(socket: Socket, state: CounterState) {
    this.socket = socket;
    this.#state = state;
  }

  /** What comes from now on is read, and nothing else. */
  ignore(): void {
    this.#state.isIgnored = true;
  }

  async ask(text: string, lines: number): Promise<void> {
    this.#state.missing = lines;
    const answered = new Promise<void>((resolve) => {
      this.#state.answered = resolve;
    });
    this.socket.write(Buffer.from(text));
    await answered;
  }
}
