/**
 * What decides, in etcd, which of several servers owns a cell: the key `PREFIXowner`, which hangs on
 * a lease of the server that made it. While it exists no other server can make it.
 */
import { randomUUID } from 'node:crypto';
import { isObject, type JsonObject } from '../runtime/unknown.ts';
import { EtcdError } from '../store/etcd-error.ts';
import type { EtcdGateway } from '../store/etcd-gateway.ts';
import { base64, firstRange, int64, keyValues, textOf } from '../store/etcd-json.ts';
import { ownerKey } from '../store/etcd-store.ts';
import type { Cell, Claimed } from './ownership-options.ts';

export interface CellOptions {
  readonly gateway: EtcdGateway;
  readonly prefix: string;
  /** Where clients find this server: what other servers tell them. */
  readonly address: () => string;
  /** Of the lease: whole seconds, >= 2 (etcd makes 2 of less). */
  readonly ttlS: number;
}

export class EtcdCell implements Cell {
  readonly #options: CellOptions;
  readonly #key: string;
  /** By which this server recognises its own claim, if the answer to it was lost. */
  readonly #id = randomUUID();

  constructor(options: CellOptions) {
    this.#options = options;
    this.#key = base64(ownerKey(options.prefix));
  }

  async owner(): Promise<string | undefined> {
    // Any member may answer, also without a leader: what it says may be out of date.
    const body = { key: this.#key, serializable: true };
    const [found] = keyValues(await this.#options.gateway.call('/v3/kv/range', body));
    if (found === undefined || this.#isOurs(found)) return undefined;
    const { address, ttlS } = ownerIn(found);
    // A new owner waits until the old one must be silent: that depends on the lease of the old one.
    if (ttlS !== this.#options.ttlS) {
      const theirs = `the server at ${String(address)} has a lease of ${String(ttlS)} s`;
      const ours = `this one of ${this.#options.ttlS} s`;
      const cure = 'set --lease-ttl to the same for all servers of a cell';
      throw new EtcdError('refused', `${theirs}, ${ours}: ${cure}`);
    }
    return typeof address === 'string' ? address : 'unknown';
  }

  async claim(): Promise<Claimed | undefined> {
    const { gateway, address, ttlS } = this.#options;
    const granted = await gateway.call('/v3/lease/grant', { TTL: String(ttlS) });
    const lease = int64(granted.ID);
    const key = this.#key;
    const value = base64(JSON.stringify({ id: this.#id, address: address(), ttlS }));
    const answer = await gateway
      .call('/v3/kv/txn', {
        compare: [{ key, target: 'CREATE', create_revision: '0' }],
        success: [{ request_put: { key, value, lease } }],
        failure: [{ request_range: { key } }],
      })
      .catch(ifLeaseIsGone);
    if (answer === undefined) return undefined;
    if (answer.succeeded === true) {
      const header = isObject(answer.header) ? answer.header : {};
      return { lease, createRevision: int64(header.revision) };
    }
    await this.#revoke(lease);
    const [found] = keyValues(firstRange(answer));
    // An earlier claim took effect although its answer was lost.
    if (found === undefined || !this.#isOurs(found)) return undefined;
    return { lease: int64(found.lease), createRevision: int64(found.create_revision) };
  }

  async keepAlive({ lease }: Claimed): Promise<boolean> {
    const answer = await this.#options.gateway.call('/v3/lease/keepalive', { ID: lease });
    return int64(answer.TTL) !== '0';
  }

  async prove({ createRevision }: Claimed): Promise<boolean> {
    const [found] = keyValues(await this.#options.gateway.call('/v3/kv/range', { key: this.#key }));
    return int64(found?.create_revision) === createRevision;
  }

  async resign({ lease, createRevision }: Claimed): Promise<void> {
    const key = this.#key;
    await this.#options.gateway.call('/v3/kv/txn', {
      compare: [{ key, target: 'CREATE', create_revision: createRevision }],
      success: [{ request_delete_range: { key } }],
    });
    await this.#revoke(lease);
  }

  async #revoke(lease: string): Promise<void> {
    // It expires by itself.
    await this.#options.gateway.call('/v3/lease/revoke', { ID: lease }).catch(() => {});
  }

  #isOurs(found: JsonObject): boolean {
    return ownerIn(found).id === this.#id;
  }
}

/** This server was paused for longer than the lease lasts: it tries again. */
function ifLeaseIsGone(error: unknown): undefined {
  if (error instanceof EtcdError && /lease not found/.test(error.message)) return undefined;
  throw error;
}

function ownerIn({ value }: JsonObject): JsonObject {
  try {
    const parsed: unknown = JSON.parse(textOf(value));
    return isObject(parsed) ? parsed : {};
  } catch {
    return {};
  }
}
