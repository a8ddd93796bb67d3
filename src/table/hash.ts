/**
 * The hashes of our own chained tables. Anybody can compute them; the tables bound what a client that
 * chooses its keys can do by that.
 */

/**
 * FNV-1a (Fowler, Noll, Vo) over the UTF-16 units of `text`, with the upper half folded into the
 * lower, from which chains are chosen.
 *
 * @returns a 32-bit integer, perhaps negative
 */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}

/**
 * The same for a safe integer, whose bits all count: those that differ by a power of two only are
 * spread, too (the finaliser of MurmurHash3 over both halves).
 */
export function hashOfInteger(value: number): number {
  let hash = value ^ Math.imul(Math.floor(value / 2 ** 32), 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
