/** How many there are of something, in words for people. */

/** `1 lock`, `2 locks`; `thing` is a word that takes an `s`, and perhaps more words before it. */
export function plural(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}
