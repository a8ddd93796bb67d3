/**
 * What an etcd does, as far as servers ask it to, in memory: keys with revisions, leases that run
 * out, transactions. It answers as the HTTP/JSON gateway does: 64-bit integers are strings, and what
 * is zero, false or empty is left out.
 */
import { isObject, type JsonObject } from '../../src/runtime/unknown.ts';
import { EtcdError } from '../../src/store/etcd-error.ts';
import { textOf } from '../../src/store/etcd-json.ts';

interface Entry {
  readonly value: string;
  readonly createRevision: number;
  readonly lease: string | undefined;
}

interface Lease {
  readonly ttlMs: number;
  expiresMs: number;
}

export class EtcdModel {
  readonly #now: () => number;
  readonly #keys = new Map<string, Entry>();
  readonly #leases = new Map<string, Lease>();
  #revision = 1;
  #lastLease = 0;
  /** How often the key that ends in `owner` was made. */
  takeovers = 0;

  /** @param now true time in milliseconds: leases run out by it */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Ends the lease of the owner, as an operator may. */
  revokeOwner(): void {
    for (const [key, { lease }] of this.#keys) {
      if (key.endsWith('owner') && lease !== undefined) this.#end(lease);
    }
  }

  /** Carries out a request. Throws an `EtcdError` for what etcd refuses. */
  call(path: string, body: object): JsonObject {
    const now = this.#now();
    for (const [id, { expiresMs }] of this.#leases) if (expiresMs <= now) this.#end(id);
    const request = body as JsonObject;
    const header = { revision: String(this.#revision) };
    switch (path) {
      case '/v3/kv/range':
        return { header, ...this.#range(request) };
      case '/v3/kv/txn':
        return this.#transact(request);
      case '/v3/lease/grant': {
        const id = String(++this.#lastLease);
        const ttlMs = Number(request.TTL) * 1000;
        this.#leases.set(id, { ttlMs, expiresMs: now + ttlMs });
        return { header, ID: id, TTL: String(request.TTL) };
      }
      case '/v3/lease/keepalive': {
        const lease = this.#leases.get(String(request.ID));
        if (lease === undefined) return { header, ID: request.ID };
        lease.expiresMs = now + lease.ttlMs;
        return { header, ID: request.ID, TTL: String(lease.ttlMs / 1000) };
      }
      case '/v3/lease/revoke':
        this.#end(String(request.ID));
        return { header };
      default:
        throw new Error(`the model has no ${path}`);
    }
  }

  #end(lease: string): void {
    this.#leases.delete(lease);
    for (const [key, entry] of this.#keys) if (entry.lease === lease) this.#keys.delete(key);
  }

  #transact({ compare, success, failure }: JsonObject): JsonObject {
    const isTrue = objects(compare).every((comparison) => this.#compare(comparison));
    const operations = objects(isTrue ? success : failure);
    for (const { request_put: put } of operations) {
      if (isObject(put) && put.lease !== undefined && !this.#leases.has(String(put.lease))) {
        throw new EtcdError('refused', 'etcdserver: requested lease not found');
      }
    }
    if (operations.some((operation) => operation.request_range === undefined)) this.#revision++;
    const responses = operations.map((operation) => this.#operate(operation));
    const header = { revision: String(this.#revision) };
    return { header, responses, ...(isTrue ? { succeeded: true } : {}) };
  }

  #compare({ key, target, create_revision, value }: JsonObject): boolean {
    const entry = this.#keys.get(textOf(key));
    if (target === 'VALUE') return entry?.value === value;
    return String(entry?.createRevision ?? 0) === String(create_revision);
  }

  #operate({
    request_put: put,
    request_delete_range: deletion,
    request_range,
  }: JsonObject): object {
    if (isObject(put)) {
      const key = textOf(put.key);
      const before = this.#keys.get(key);
      if (before === undefined && key.endsWith('owner')) this.takeovers++;
      this.#keys.set(key, {
        value: String(put.value),
        createRevision: before?.createRevision ?? this.#revision,
        lease: put.lease === undefined ? undefined : String(put.lease),
      });
      return { response_put: {} };
    }
    if (isObject(deletion)) {
      for (const key of this.#inRange(deletion)) this.#keys.delete(key);
      return { response_delete_range: {} };
    }
    return { response_range: this.#range(isObject(request_range) ? request_range : {}) };
  }

  #range(request: JsonObject): JsonObject {
    const keys = this.#inRange(request);
    const limit = Number(request.limit ?? keys.length);
    if (keys.length === 0) return {};
    const kvs = keys.slice(0, limit).map((key) => {
      const entry = this.#keys.get(key);
      return {
        key: Buffer.from(key).toString('base64'),
        create_revision: String(entry?.createRevision),
        ...(entry?.value === '' ? {} : { value: entry?.value }),
        ...(entry?.lease === undefined ? {} : { lease: entry.lease }),
      };
    });
    return { kvs, ...(keys.length > limit ? { more: true } : {}) };
  }

  /** The keys of a range, in order. */
  #inRange({ key, range_end: rangeEnd }: JsonObject): string[] {
    const [from, to] = [textOf(key), textOf(rangeEnd)];
    if (to === '') return this.#keys.has(from) ? [from] : [];
    return [...this.#keys.keys()].filter((name) => name >= from && name < to).sort();
  }
}

function objects(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
