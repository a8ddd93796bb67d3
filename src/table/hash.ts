/** The hash of our own chained tables: of a node's children, and of a session's locks. */

/**
 * FNV-1a (Fowler, Noll, Vo) over the UTF-16 units of `text`, with the upper half folded into the
 * lower, from which chains are chosen. Anybody can compute it: whoever uses it must bound what a
 * client that chooses its names can do.
 *
 * @returns a 32-bit integer, perhaps negative
 */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}
