/** What a misspelt word probably means. */

/**
 * The one of `words` that `word` is probably a misspelling of, if there is one: at most every third
 * letter is wrong.
 *
 * @param prefix characters that all of them begin with, and that don't count
 */
export function nearest(word: string, words: readonly string[], prefix = 0): string | undefined {
  const most = Math.floor((word.length - prefix) / 3);
  const [best] = words
    .map((known) => ({ known, distance: distanceOf(word, known) }))
    .filter(({ distance }) => distance <= most)
    .sort((a, b) => a.distance - b.distance);
  return best?.known;
}

/**
 * Letters to insert, delete or replace, and neighbours to swap, to turn one word into the other.
 */
function distanceOf(one: string, other: string): number {
  let before: number[] = [];
  let row = Array.from({ length: other.length + 1 }, (_, j) => j);
  for (let i = 0; i < one.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < other.length; j++) {
      const replaced = (row[j] ?? 0) + (one[i] === other[j] ? 0 : 1);
      const isSwap = j > 0 && one[i] === other[j - 1] && one[i - 1] === other[j];
      const swapped = isSwap ? (before[j - 1] ?? 0) + 1 : replaced;
      next.push(Math.min(replaced, swapped, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    before = row;
    row = next;
  }
  return row[other.length] ?? 0;
}
