/**
 * Resources as people type them: `w:orders/17`, `r:prices`, and `r4:gpu` for a read of which four are
 * admitted at a time.
 */
import type { Resource } from '../client/resources.ts';
import { parsePath } from './path-text.ts';

const RESOURCE = /^(?:(w)|r(\d*)):(.*)$/su;

/** A resource; or what is wrong with `word`, as a sentence without its full stop. */
export function parseResource(word: string): Resource | string {
  const match = RESOURCE.exec(word);
  if (match === null) {
    return `"${word}" has no type: write w:${word} to write, or r:${word} to read`;
  }
  const [, write, limit = '', text = ''] = match;
  const path = parsePath(text);
  if (typeof path === 'string') return `the path ${path}`;
  if (write !== undefined) return { type: 'write', path };
  return { type: 'read', path, ...(limit === '' ? {} : { limit: Number(limit) }) };
}
