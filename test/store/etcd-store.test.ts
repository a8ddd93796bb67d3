/** The store in etcd: the contract, and what can go wrong between a server and a real etcd. */
import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import type { JsonObject } from '../../src/runtime/unknown.ts';
import { EtcdError } from '../../src/store/etcd-error.ts';
import { EtcdGateway } from '../../src/store/etcd-gateway.ts';
import { base64, keyValues, prefixEnd, textOf } from '../../src/store/etcd-json.ts';
import { EtcdStore, type EtcdStoreOptions, ownerKey } from '../../src/store/etcd-store.ts';
import { type Store, StoreError } from '../../src/store/store.ts';
import { Etcd, etcdIsMissing, PATIENT } from '../support/etcd.ts';
import { SimpleClaim } from '../support/etcd-claim.ts';
import { Random } from '../support/random.ts';
import { begin, change, testStore } from '../support/store-contract.ts';

const needsEtcd = { skip: etcdIsMissing };

/** One etcd for all tests of this file; each has a prefix of its own. */
const shared = etcdIsMissing === false ? await Etcd.start({ after }) : undefined;

/** Answers as etcd does, unless a test makes it worse. */
class TroubledGateway extends EtcdGateway {
  /** Called instead of each call; `go` carries it out. */
  between: (path: string, body: object, go: () => Promise<JsonObject>) => Promise<JsonObject> = (
    _path,
    _body,
    go,
  ) => go();

  override call(path: string, body: object, tryMs?: number): Promise<JsonObject> {
    return this.between(path, body, () => super.call(path, body, tryMs));
  }
}

let cells = 0;

/** A prefix of its own, in the shared etcd. */
class Cell {
  readonly prefix = `/test/${++cells}/`;
  readonly gateway: TroubledGateway;

  constructor(t: TestContext, members = shared?.urls ?? [], options: object = PATIENT) {
    this.gateway = new TroubledGateway({ members, ...options });
    t.after(() => this.gateway.close());
  }

  open(options: Partial<EtcdStoreOptions> = {}): EtcdStore {
    const { gateway, prefix } = this;
    return new EtcdStore({
      gateway,
      prefix,
      claim: new SimpleClaim(new EtcdGateway({ members: gateway.members, ...PATIENT }), prefix),
      ...options,
    });
  }

  async keys(): Promise<string[]> {
    const { prefix } = this;
    const body = { key: base64(prefix), range_end: base64(prefixEnd(prefix)), keys_only: true };
    return keyValues(await this.gateway.call('/v3/kv/range', body)).map(({ key }) =>
      textOf(key).slice(prefix.length),
    );
  }

  /** What the next owner finds. */
  async found(): Promise<unknown> {
    await this.gateway.call('/v3/kv/deleterange', { key: base64(ownerKey(this.prefix)) });
    const store = this.open();
    const loaded = await store.load();
    await store.close();
    return loaded;
  }
}

const unavailable = (): EtcdError => new EtcdError('unavailable', 'a test says so');
const isTransaction = (path: string): boolean => path === '/v3/kv/txn';

testStore(
  'in etcd',
  (t) => {
    const cell = new Cell(t);
    return () => cell.open();
  },
  needsEtcd,
);
testStore(
  'in etcd, written anew all the time',
  (t) => {
    const cell = new Cell(t);
    return () => cell.open({ minRewriteBytes: 0, sliceLength: 100 });
  },
  needsEtcd,
);

test('in etcd: the log is short, however much was changed', needsEtcd, async (t) => {
  const cell = new Cell(t);
  const store = cell.open({ minRewriteBytes: 2000, sliceLength: 500 });
  const model = await begin(store, 1);
  await change(store, model, 150);
  const keys = await cell.keys();
  assert.ok(keys.length < 60, keys.join(' '));
  assert.deepEqual(await cell.found(), model.state());
});

test(
  'in etcd: a batch of more than a megabyte is stored whole or not at all',
  needsEtcd,
  async (t) => {
    const cell = new Cell(t);
    const store = cell.open();
    const model = await begin(store, 1);
    const session = model.beginSession();
    for (let i = 0; i < 12_000; i++) model.lock(session);
    await store.commit(model.seal());
    const keys = await cell.keys();
    assert.ok(keys.filter((key) => key.startsWith('log/')).length > 1, keys.join(' '));
    await change(store, model, 3);
    const before = model.state();

    // The owner ends between two parts: no server sees them, and the next owner removes them.
    let transactions = 0;
    cell.gateway.between = (path, _body, go) => {
      if (!isTransaction(path) || ++transactions < 2) return go();
      return new Promise(() => {});
    };
    for (let i = 0; i < 12_000; i++) model.lock(session);
    void store.commit(model.seal());
    while (transactions < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    cell.gateway.between = (_path, _body, go) => go();
    assert.deepEqual(await cell.found(), before);

    await cell.gateway.call('/v3/kv/deleterange', { key: base64(ownerKey(cell.prefix)) });
    const next = cell.open();
    const nextModel = await begin(next, 2);
    nextModel.beginSession();
    await next.commit(nextModel.seal());
    assert.deepEqual(await cell.found(), nextModel.state());
  },
);

test('in etcd: an answer that is lost, once or often, does no harm', needsEtcd, async (t) => {
  const cell = new Cell(t);
  const random = new Random(1);
  let troubles = 0;
  const store = cell.open({ minRewriteBytes: 2000, trouble: () => troubles++ });
  const model = await begin(store, 1);
  cell.gateway.between = async (_path, _body, go) => {
    const isDone = random.oneIn(2);
    const isHeard = random.oneIn(2);
    if (isDone) {
      const answer = await go();
      if (isHeard) return answer;
    }
    throw unavailable();
  };
  await change(store, model, 10);
  cell.gateway.between = (_path, _body, go) => go();
  assert.ok(troubles > 2);
  assert.deepEqual(await cell.found(), model.state());
});

/**
 * Stores some batches while each is sent twice: the first copy is given up, and arrives when the
 * `late`-th batch behind it has been stored.
 *
 * @param spoil changes what is sent
 */
async function storeWithLateCopies(
  t: TestContext,
  late: number,
  spoil: (body: object) => object = (body) => body,
): Promise<{ found: unknown; expected: unknown }> {
  const cell = new Cell(t);
  const store = cell.open();
  const model = await begin(store, late);
  const raw = new EtcdGateway({ members: cell.gateway.members, ...PATIENT });
  t.after(() => raw.close());
  const copies: object[] = [];
  let isCopied = false;
  cell.gateway.between = async (path, body) => {
    const spoiled = isTransaction(path) ? spoil(body) : body;
    if (isTransaction(path) && !isCopied) {
      isCopied = true;
      copies.push(spoiled);
      throw unavailable();
    }
    isCopied = false;
    return raw.call(path, spoiled);
  };
  for (let batch = 0; batch < 6; batch++) {
    await change(store, model, 1);
    const copy = copies[batch - late];
    if (copy !== undefined) await raw.call('/v3/kv/txn', copy);
  }
  cell.gateway.between = (_path, _body, go) => go();
  return { found: await cell.found().catch(String), expected: model.state() };
}

test(
  'in etcd: a transaction that was given up and arrives late changes nothing',
  needsEtcd,
  async (t) => {
    for (const late of [0, 1, 3]) {
      const { found, expected } = await storeWithLateCopies(t, late);
      assert.deepEqual(found, expected);
    }
  },
);

test('in etcd: a guard without the sequence is found by that test', needsEtcd, async (t) => {
  const withoutSequence = (body: object): object => {
    const { compare, ...rest } = body as { compare: unknown[] };
    return { ...rest, compare: compare.slice(0, 1) };
  };
  const { found, expected } = await storeWithLateCopies(t, 3, withoutSequence);
  assert.notDeepEqual(found, expected);
});

test('in etcd: its leader is stopped in the midst of it and comes back', needsEtcd, async (t) => {
  const etcd = await Etcd.start(t, { members: 3 });
  const cell = new Cell(t, etcd.urls, { tryMs: 400 });
  let troubles = 0;
  const store = cell.open({ trouble: () => troubles++ });
  const model = await begin(store, 1);
  await change(store, model, 5);
  const leader = etcd.children[await etcd.leader(t)];
  const changing = change(store, model, 60);
  leader?.kill('SIGSTOP');
  await changing;
  leader?.kill('SIGCONT');
  await change(store, model, 60);
  assert.ok(troubles > 0);
  for (;;) {
    const found = await cell.found().catch((error: unknown) => error);
    if (found instanceof EtcdError) continue;
    assert.deepEqual(found, model.state());
    return;
  }
});

/** Why `action` fails, with a `StoreError`. */
async function refusal(action: Promise<unknown>): Promise<string> {
  const error = await action.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof StoreError, String(error));
  return error.message;
}

test('in etcd: who is not the owner any more stores nothing', needsEtcd, async (t) => {
  const cell = new Cell(t);
  const store = cell.open();
  const model = await begin(store, 1);
  await change(store, model, 3);
  const before = model.state();
  const key = base64(ownerKey(cell.prefix));
  await cell.gateway.call('/v3/kv/put', { key, value: base64('changed, but the same key') });
  await store.commit(model.seal());
  const after = { ...before, position: model.state().position };
  await cell.gateway.call('/v3/kv/deleterange', { key });
  model.step();
  assert.match(await refusal(store.commit(model.seal())), /does not own its locks/);
  await cell.gateway.call('/v3/kv/put', { key, value: base64('another server') });
  const second = cell.open();
  await assert.rejects(second.load(), StoreError);
  assert.deepEqual(await cell.found(), after);
});

test('in etcd: over quota it waits; what is refused ends it, with words', needsEtcd, async (t) => {
  const cell = new Cell(t);
  const troubles: string[] = [];
  const store = cell.open({ trouble: ({ failure }) => troubles.push(failure) });
  const model = await begin(store, 1);
  let isFull = true;
  cell.gateway.between = (_path, _body, go) => {
    if (!isFull) return go();
    isFull = false;
    throw new EtcdError('full', 'etcdserver: mvcc: database space exceeded');
  };
  await change(store, model, 1);
  assert.deepEqual(troubles, ['full']);
  cell.gateway.between = () => {
    throw new EtcdError('refused', 'permission denied: give the user the permission');
  };
  assert.match(await refusal(store.commit(model.seal())), /give the user/);
});

test('in etcd: a commit without an answer ends when the store is closed', needsEtcd, async (t) => {
  const cell = new Cell(t);
  const store = cell.open();
  const model = await begin(store, 1);
  cell.gateway.between = () => Promise.reject(unavailable());
  const commit = refusal(store.commit(model.seal()));
  await store.close();
  assert.match(await commit, /is closed/);
});

test('in etcd: a server that stops waits for etcd, but not for ever', needsEtcd, async (t) => {
  const cell = new Cell(t);
  const store = cell.open({ stopMs: 50 });
  const model = await begin(store, 1);
  cell.gateway.between = () => Promise.reject(unavailable());
  store.freeze();
  assert.match(await refusal(store.commit(model.seal())), /gave up to store the last changes/);
  await store.close();
});

test('in etcd: what it can not read it refuses, and says what to do', needsEtcd, async (t) => {
  const cell = new Cell(t);
  const store: Store = cell.open();
  const model = await begin(store, 1);
  await change(store, model, 5);
  await store.close();
  const key = base64(`${cell.prefix}seq`);
  const put = (name: string, text: string): Promise<unknown> =>
    cell.gateway.call('/v3/kv/put', { key: base64(`${cell.prefix}${name}`), value: base64(text) });
  const [seq] = keyValues(await cell.gateway.call('/v3/kv/range', { key }));
  const text = textOf(seq?.value);
  const cases = [
    ['{', /seq in etcd was not written by Locktopus/],
    [text.replace('"version":1', '"version":2'), /has version 2.*choose another --etcd-prefix/],
    [text.replace('"from":1', '"from":"1"'), /seq in etcd is broken: restore/],
  ] as const;
  for (const [value, message] of cases) {
    await put('seq', value);
    assert.match(await refusal(cell.open().load()), message);
  }
  await put('seq', text);
  await put('log/0000000000000003/000000', '{"deleteLock":1}');
  assert.match(await refusal(cell.open().load()), /can't be trusted: .*deletes what is not there/);
  assert.ok((await cell.keys()).length > 3);
});
