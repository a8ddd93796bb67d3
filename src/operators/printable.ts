/**
 * Text that clients chose, for a terminal: nothing in it can move the cursor, change colours, hide
 * itself or reverse the direction of writing.
 */

/**
 * Control characters, line and paragraph separators, halves of surrogate pairs, and invisible format
 * characters, such as those that reverse the direction. The two joiners stay: scripts and emoji need
 * them.
 */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]|(?![\u200c\u200d])\p{Cf}/gu;

/** `text` with every unprintable character as `\x1b` or `\u202e`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
    const digits = code.toString(16);
    return digits.length <= 4 ? `\\u${digits.padStart(4, '0')}` : `\\u{${digits}}`;
  });
}

/** JSON that is the same value to a program and printable on a terminal. In one line. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) =>
    Array.from({ length: character.length }, (_, i) => {
      return `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
    }).join(''),
  );
}

const ASCII = /^[ -~]*$/;
const WITHOUT_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;
const DOUBLE_WIDTH =
  /(?![\uff61-\uffdc])[\p{sc=Han}\p{sc=Hangul}\p{sc=Hira}\p{sc=Kana}\u3000-\u303e\uff01-\uffe6]|\p{Emoji_Presentation}/u;

/** The number of terminal columns that printable `text` takes, as most terminals count. */
export function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

/** `text`, cut with an ellipsis to at most `width` terminal columns; `width` is 1 or more. */
export function truncated(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let left = width - 1;
  let cut = '';
  for (const character of text) {
    left -= characterWidth(character);
    if (left < 0) break;
    cut += character;
  }
  return `${cut}…`;
}

function characterWidth(character: string): number {
  if (WITHOUT_WIDTH.test(character)) return 0;
  return DOUBLE_WIDTH.test(character) ? 2 : 1;
}
