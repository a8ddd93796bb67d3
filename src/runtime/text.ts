/** Text for people. */

/** `1 lock`, `2 locks`; the plural of `thing` must be formed by appending `s`. */
export function plural(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}
