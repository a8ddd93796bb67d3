/** The owner key in a real etcd. */
import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import { EtcdCell } from '../../src/cluster/cell.ts';
import { systemClocks } from '../../src/cluster/clocks.ts';
import { Ownership } from '../../src/cluster/ownership.ts';
import type { JsonObject } from '../../src/runtime/unknown.ts';
import { EtcdError } from '../../src/store/etcd-error.ts';
import { EtcdGateway } from '../../src/store/etcd-gateway.ts';
import { EtcdStore } from '../../src/store/etcd-store.ts';
import type { StoreError } from '../../src/store/store.ts';
import { Etcd, etcdIsMissing, PATIENT } from '../support/etcd.ts';
import { begin, change } from '../support/store-contract.ts';

const needsEtcd = { skip: etcdIsMissing };
const shared = etcdIsMissing === false ? await Etcd.start({ after }) : undefined;

/** Loses the answer to the first transaction. */
class DeafGateway extends EtcdGateway {
  #isDeaf = true;

  override async call(path: string, body: object): Promise<JsonObject> {
    const answer = await super.call(path, body);
    if (path !== '/v3/kv/txn' || !this.#isDeaf) return answer;
    this.#isDeaf = false;
    throw new EtcdError('unavailable', 'a test says so');
  }
}

function cellOf(
  t: TestContext,
  prefix: string,
  address: string,
  gateway = new EtcdGateway({ members: shared?.urls ?? [], ...PATIENT }),
): EtcdCell {
  t.after(() => gateway.close());
  return new EtcdCell({ gateway, prefix, address: () => address, ttlS: 2 });
}

test('one of two servers owns the key, and its lease keeps it', needsEtcd, async (t) => {
  const [a, b] = ['a:1', 'b:1'].map((address) => cellOf(t, '/cell/1/', address));
  assert.ok(a !== undefined && b !== undefined);
  assert.equal(await a.owner(), undefined);
  const claimed = await a.claim();
  assert.ok(claimed !== undefined);
  assert.equal(await b.claim(), undefined);
  assert.equal(await a.owner(), undefined, 'it does not wait for itself');
  assert.equal(await b.owner(), 'a:1');
  assert.equal(await a.prove(claimed), true);
  assert.equal(await a.keepAlive(claimed), true);
  await a.resign(claimed);
  assert.equal(await a.prove(claimed), false);
  assert.equal(await a.keepAlive(claimed), false);
  const next = await b.claim();
  assert.ok(next !== undefined);
  assert.notEqual(next.createRevision, claimed.createRevision);
  await a.resign(claimed);
  assert.equal(await b.prove(next), true, 'the old owner does not take it away');
});

test(
  'servers whose leases differ are no cell: the new owner would not wait for the old one',
  needsEtcd,
  async (t) => {
    const owner = cellOf(t, '/cell/4/', 'a:1');
    assert.ok((await owner.claim()) !== undefined);
    const gateway = new EtcdGateway({ members: shared?.urls ?? [], ...PATIENT });
    t.after(() => gateway.close());
    const other = new EtcdCell({ gateway, prefix: '/cell/4/', address: () => 'b:1', ttlS: 3 });
    await assert.rejects(other.owner(), {
      failure: 'refused',
      message:
        'the server at a:1 has a lease of 2 s, this one of 3 s: set --lease-ttl to the same for all servers of a cell',
    });
  },
);

test('a claim whose answer was lost is recognised', needsEtcd, async (t) => {
  const deaf = new DeafGateway({ members: shared?.urls ?? [], ...PATIENT });
  const cell = cellOf(t, '/cell/2/', 'a:1', deaf);
  await assert.rejects(cell.claim(), EtcdError);
  assert.equal(await cell.owner(), undefined);
  const claimed = await cell.claim();
  assert.ok(claimed !== undefined);
  assert.equal(await cell.prove(claimed), true);
  assert.equal(await cell.keepAlive(claimed), true);
});

test(
  'two servers with a store: a hand-over, and an owner whose lease is revoked',
  needsEtcd,
  async (t) => {
    const gateway = new EtcdGateway({ members: shared?.urls ?? [], ...PATIENT });
    t.after(() => gateway.close());
    const server = (address: string): { ownership: Ownership; store: EtcdStore } => {
      const cell = new EtcdCell({ gateway, prefix: '/cell/3/', address: () => address, ttlS: 2 });
      const ownership = new Ownership({ cell, clocks: systemClocks, ttlMs: 2000 });
      t.after(() => ownership.release());
      return { ownership, store: new EtcdStore({ gateway, prefix: '/cell/3/', claim: ownership }) };
    };
    const first = server('a:1');
    const model = await begin(first.store, 1);
    await change(first.store, model, 5);
    const age = first.ownership.snapshot().proofAgeMs;
    assert.ok(age !== undefined && age < 2000);

    const second = server('b:1');
    const loading = second.store.load();
    await first.store.close();
    assert.deepEqual(await loading, model.state());
    await second.store.start(model.next(), model.live);
    await change(second.store, model, 5);

    // Another server that takes it in spite of the owner, as after a lease that has run out.
    const third = server('c:1');
    let lost: StoreError | undefined;
    const fourth = server('d:1');
    const failed = new Promise<void>((resolve) => {
      void fourth.store.load((error) => {
        lost = error;
        resolve();
      });
    });
    const owning = new Promise<void>((resolve) => {
      fourth.ownership.observe({ owning: resolve });
    });
    await second.store.close();
    await owning;
    const { kvs } = await gateway.call('/v3/kv/range', { key: btoa('/cell/3/owner') });
    const [{ lease = '' } = {}] = kvs as { lease?: string }[];
    await gateway.call('/v3/lease/revoke', { ID: lease });
    await failed;
    assert.match(lost?.message ?? '', /stopped serving: (its lease|another server)/);
    assert.equal(fourth.ownership.maySpeak(), false);
    assert.deepEqual(await third.store.load(), model.state());
    await third.store.close();
  },
);
