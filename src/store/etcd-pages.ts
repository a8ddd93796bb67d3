/** Reads a range of keys in etcd page by page: it may be far larger than an answer, or the heap. */
import { Buffer } from 'node:buffer';
import { nextTurn, type Turns } from '../runtime/clock.ts';
import type { JsonObject } from '../runtime/unknown.ts';
import { base64, keyValues, textOf } from './etcd-json.ts';

/** Milliseconds that a member has for a page, and the bytes of a page, about. */
const PAGE_MS = 5000;
const PAGE_BYTES = 8 * 1024 * 1024;
const MAX_PAGE_KEYS = 2000;
/** Each value of these may have the full size. */
const FIRST_PAGE_KEYS = 16;

/**
 * The keys from `begin` up to `end` with their values, in order.
 *
 * @param call sends a request until it is answered; `tryMs` is what a member has for it
 */
export async function* pages(
  call: (path: string, body: object, tryMs: number) => Promise<JsonObject>,
  turns: Turns,
  begin: string,
  end: string,
): AsyncGenerator<{ readonly key: string; readonly value: Buffer }> {
  let limit = FIRST_PAGE_KEYS;
  for (let from = begin; ; ) {
    const body = { key: base64(from), range_end: base64(end), limit: String(limit) };
    const page = await call('/v3/kv/range', body, PAGE_MS);
    let bytes = 0;
    let last = '';
    const values = keyValues(page);
    for (const { key, value } of values) {
      last = textOf(key);
      const buffer = Buffer.from(typeof value === 'string' ? value : '', 'base64');
      bytes += buffer.length;
      yield { key: last, value: buffer };
    }
    if (page.more !== true || values.length === 0) return;
    from = `${last}\0`;
    const keys = Math.floor(PAGE_BYTES / Math.max(1, bytes / values.length));
    limit = Math.max(1, Math.min(MAX_PAGE_KEYS, keys));
    await nextTurn(turns);
  }
}
