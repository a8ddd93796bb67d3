/** A real server with a store whose commits end when the test says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from '../../src/server.ts';
import type { Batch, LiveRecords, Loaded, Position } from '../../src/store/store.ts';
import { LineClient, lock, write } from '../support/line-client.ts';
import { MemoryDisk, MemoryStore } from '../support/memory-store.ts';

/** Draws for the last time when it is frozen. */
class DrawingStore extends MemoryStore {
  drawn: readonly string[] = [];

  override freeze(): void {
    this.drawn = [...(this.live?.() ?? [])];
  }
}

test('a store is frozen before a server that stops ends its locks', async (t) => {
  const begun: (() => void)[] = [];
  const store = new DrawingStore(new MemoryDisk(), {
    isHeld: true,
    begun: () => begun.shift()?.(),
  });
  const server = new Server({ port: 0, store });
  await server.listen();
  const client = await LineClient.connect(t, server.address.port);
  const commit = new Promise<void>((resolve) => begun.push(resolve));
  client.send({ action: 'hello', namespace: 'shop' }, lock(write('a')));
  await commit;
  // The last batch has the time of the end.
  begun.push(() => store.finish());
  const closed = server.close();
  store.finish();
  const replies = await client.ended();
  const told = replies.map(({ action, state, error }) => state ?? action ?? error);
  assert.deepEqual(told.slice(0, 2), ['hello', 'acquired'], 'what is stored is said');
  assert.equal((told[2] as { code: string }).code, 'restarting');
  await closed;
  assert.equal(store.drawn.length, 2, 'the session and its lock');
  assert.equal(server.counts.sessions, 0);
});

/** Takes its time to read. */
class SlowStore extends MemoryStore {
  readonly calls: string[] = [];
  answer: () => void = () => {};
  readonly #answered = new Promise<void>((resolve) => {
    this.answer = resolve;
  });
  loading: () => void = () => {};
  readonly isLoading = new Promise<void>((resolve) => {
    this.loading = resolve;
  });

  override async load(): Promise<Loaded> {
    this.loading();
    await this.#answered;
    return super.load();
  }

  override start(position: Position, live: LiveRecords): Promise<void> {
    this.calls.push('start');
    return super.start(position, live);
  }

  override commit(batch: Batch): Promise<void> {
    this.calls.push('commit');
    return super.commit(batch);
  }

  override close(): Promise<void> {
    this.calls.push('close');
    return super.close();
  }
}

test('a server that stops while it recovers gives the store up after that, unchanged', async (t) => {
  const disk = new MemoryDisk();
  const first = new Server({ port: 0, store: new MemoryStore(disk) });
  await first.listen();
  const client = await LineClient.connect(t, first.address.port);
  await client.ask({ action: 'hello', namespace: 'shop' });
  await client.ask(lock(write('a')));
  await first.close();
  const { records } = disk;
  const store = new SlowStore(disk);
  const second = new Server({ port: 0, store });
  const listening = second.listen();
  await store.isLoading;
  const closed = second.close();
  store.answer();
  await assert.rejects(listening, /closed while starting/);
  await closed;
  assert.deepEqual(store.calls, ['start', 'commit', 'close']);
  assert.equal(disk.records.length, records.length);
  assert.equal(second.counts.sessions, 0);
});
