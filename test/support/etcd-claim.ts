/** A claim for one test process: no lease, no waiting; who comes second is refused. */
import { randomUUID } from 'node:crypto';
import type { EtcdGateway } from '../../src/store/etcd-gateway.ts';
import { base64, int64 } from '../../src/store/etcd-json.ts';
import { type EtcdClaim, ownerKey } from '../../src/store/etcd-store.ts';
import { StoreError } from '../../src/store/store.ts';

export class SimpleClaim implements EtcdClaim {
  readonly #gateway: EtcdGateway;
  readonly #key: string;
  #isOurs = false;
  /** How often a transaction has proved the claim. */
  proofs = 0;

  constructor(gateway: EtcdGateway, prefix: string) {
    this.#gateway = gateway;
    this.#key = base64(ownerKey(prefix));
  }

  async acquire(): Promise<string> {
    const key = this.#key;
    const answer = await this.#gateway.call('/v3/kv/txn', {
      compare: [{ key, target: 'CREATE', create_revision: '0' }],
      success: [{ request_put: { key, value: base64(randomUUID()) } }],
    });
    if (answer.succeeded !== true) throw new StoreError('another store has the claim');
    this.#isOurs = true;
    const header = answer.header as { revision?: unknown };
    return int64(header.revision);
  }

  sending(): () => void {
    return () => {
      this.proofs++;
    };
  }

  stopWaiting(): void {}

  async release(): Promise<void> {
    if (!this.#isOurs) return;
    this.#isOurs = false;
    await this.#gateway.call('/v3/kv/deleterange', { key: this.#key });
  }
}
