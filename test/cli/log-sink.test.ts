/** The log: to a reader that reads, to one that has stopped, and to one that begins again. */
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { LogSink } from '../../src/cli/log-sink.ts';
import { LineClient, lock, write } from '../support/line-client.ts';
import { Program } from '../support/program.ts';

/** A reader that takes nothing until `read` is called, and then all there is. */
class Reader extends Writable {
  readonly taken: string[] = [];
  #next: (() => void) | undefined;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.taken.push(String(chunk));
    this.#next = done;
  }

  read(): void {
    while (this.#next !== undefined) {
      const next = this.#next;
      this.#next = undefined;
      next();
    }
  }
}

const droppedLine = (count: number): string => `dropped ${count}\n`;

test('past a bound, lines are dropped, and how many is told when there is room again', async () => {
  const reader = new Reader();
  const sink = new LogSink(reader);
  const line = `${'x'.repeat(1023)}\n`;
  for (let i = 0; i < 3000; i++) sink.write(line, droppedLine);
  assert.ok(reader.writableLength <= 1025 * 1024, `${reader.writableLength} bytes`);
  reader.read();
  await new Promise((resolve) => setImmediate(resolve));
  while (reader.writableLength > 0) {
    reader.read();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const kept = reader.taken.length;
  sink.write('back\n', droppedLine);
  assert.equal(reader.taken.at(-1), `dropped ${3000 - kept}\nback\n`);
});

test('a flush ends when all is read, or when the time is over', async () => {
  const reader = new Reader();
  const sink = new LogSink(reader);
  await sink.flushed(1e6);
  sink.write('a\n', droppedLine);
  await sink.flushed(1);
  const flushed = sink.flushed(1e6);
  while (reader.writableLength > 0) {
    reader.read();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await flushed;
});

test('a server whose log nobody reads stops all the same', async (t) => {
  const program = new Program(t, ['--port', '0', '--log-locks']);
  const port = await program.port();
  program.child.stdout?.pause();
  const client = await LineClient.connect(t, port);
  for (let i = 0; i < 300; i++) {
    await client.ask(lock(write('x'.repeat(1000), String(i))));
    await client.ask({ action: 'release' });
  }
  await client.ask({ action: 'bye' });
  program.child.kill('SIGTERM');
  const [code] = await new Promise<unknown[]>((resolve) => {
    program.child.once('exit', (...how) => resolve(how));
  });
  assert.equal(code, 0);
});
