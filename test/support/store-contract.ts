/** The contract of a store: tests that each of them must pass. */
import assert from 'node:assert/strict';
import { type TestContext, type TestOptions, test } from 'node:test';
import { type Store, StoreError } from '../../src/store/store.ts';
import { Random } from './random.ts';
import { StoreModel } from './store-model.ts';

/** Makes stores that keep the same things. */
export type StoreKind = (t: TestContext) => (() => Store) | Promise<() => Store>;

/** Loads and starts `store`; the model goes on from what it holds. */
export async function begin(store: Store, seed: number): Promise<StoreModel> {
  const model = StoreModel.from(await store.load(), new Random(seed));
  await store.start(model.next(), model.live);
  return model;
}

export async function change(store: Store, model: StoreModel, batches: number): Promise<void> {
  for (let batch = 0; batch < batches; batch++) {
    for (let changes = 0; changes < 9; changes++) model.step();
    await store.commit(model.seal());
  }
}

/** @param kind of the store, for the names of the tests */
export function testStore(kind: string, make: StoreKind, options: TestOptions = {}): void {
  test(`a store ${kind}: new, it is empty`, options, async (t) => {
    const store = (await make(t))();
    assert.deepEqual(await store.load(), {
      position: { batch: 0, lockIds: 0, sessionIds: 0, clockMs: 0 },
      sessions: [],
      locks: [],
    });
    await store.close();
  });

  test(
    `a store ${kind}: what is committed is there for the next one, and the one after`,
    options,
    async (t) => {
      const open = await make(t);
      for (let seed = 1; seed < 6; seed++) {
        const store = open();
        const model = await begin(store, seed);
        assert.ok((store.bytes ?? 1) >= 0);
        await change(store, model, seed === 3 ? 0 : 20);
        await store.close();
        const next = open();
        assert.deepEqual(await next.load(), model.state());
        await next.close();
      }
    },
  );

  test(`a store ${kind}: a batch without records keeps the position`, options, async (t) => {
    const open = await make(t);
    const store = open();
    const model = await begin(store, 1);
    await store.commit(model.seal());
    await store.close();
    const next = open();
    assert.deepEqual((await next.load()).position, model.state().position);
    await next.close();
  });

  test(`a store ${kind}: it has one user at a time`, options, async (t) => {
    const open = await make(t);
    const first = open();
    const model = await begin(first, 1);
    const second = open();
    await assert.rejects(second.load(), StoreError);
    await second.close();
    await change(first, model, 2);
    await first.close();
    const third = open();
    assert.deepEqual(await third.load(), model.state());
    await third.close();
  });
}
