/** The words of a line that a person typed. */

/**
 * Words are separated by blanks. Quotes keep blanks in a word, and are dropped: `w:"my orders"/17`.
 * A backslash before a quote or a blank makes it part of the word; before anything else it stays, for
 * the escapes of paths.
 *
 * @returns a sentence without its full stop if a quote is not closed
 */
export function wordsOf(line: string): readonly string[] | string {
  const words: string[] = [];
  let word: string | undefined;
  let isQuoted = false;
  for (const [token] of line.matchAll(/\\.|./gsu)) {
    if (token === '"') {
      isQuoted = !isQuoted;
      word ??= '';
    } else if (!isQuoted && /^\s$/.test(token)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + (/^\\["\s]$/.test(token) ? token.slice(1) : token);
    }
  }
  if (isQuoted) return 'a quote is not closed';
  return word === undefined ? words : [...words, word];
}
