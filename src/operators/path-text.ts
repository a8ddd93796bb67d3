/**
 * Paths as people type and read them: segments with slashes between them, `orders/17`. The root is `/`. In
 * a segment, a backslash begins an escape:
 *
 *     \/     a slash               \\      a backslash
 *     \e     an empty segment      \u{9}   any character, by its code point
 */
import type { Path } from '../client/resources.ts';

export const ROOT_TEXT = '/';

/** A slash after an even number of backslashes. */
const SEPARATOR = /(?<=(?<!\\)(?:\\\\)*)\//;

/** Names and values of the escapes that stand for one text. */
const ESCAPES: Readonly<Record<string, string>> = { '/': '/', '\\': '\\', e: '' };

/** The segments of a path; or what is wrong with `text`, as the end of a sentence. */
export function parsePath(text: string): Path | string {
  if (text === ROOT_TEXT) return [];
  // Often a shell variable that is not set: it must not lock all there is.
  if (text === '') return `is empty; write ${ROOT_TEXT} for the root`;
  const segments: string[] = [];
  for (const part of text.split(SEPARATOR)) {
    // Written by mistake, an empty segment would make a lock on another path than the one meant.
    if (part === '') {
      return `has an empty segment: ${text}. Remove the slash there, or write \\e for one`;
    }
    const segment = unescaped(part);
    if (segment === undefined) {
      return `has an unknown escape: ${text}. After a backslash write / or \\ or e or u{…}`;
    }
    segments.push(segment);
  }
  return segments;
}

/** A path as `parsePath` reads it. What a terminal would not show as it is, is escaped. */
export function pathText(path: Path): string {
  return path.length === 0 ? ROOT_TEXT : path.map(segmentText).join('/');
}

function segmentText(segment: string): string {
  if (segment === '') return '\\e';
  // Besides control characters, those that reorder or hide what stands beside them.
  return segment.replace(/[/\\]|[\p{C}\p{Zl}\p{Zp}]/gu, (char) =>
    char === '/' || char === '\\' ? `\\${char}` : codeText(char),
  );
}

function codeText(char: string): string {
  return `\\u{${char.codePointAt(0)?.toString(16)}}`;
}

function unescaped(part: string): string | undefined {
  let isKnown = true;
  const segment = part.replace(/\\(?:u\{([0-9a-f]{1,6})\}|(.?))/gisu, (_, code, char) => {
    const value = code === undefined ? ESCAPES[char] : charOf(Number.parseInt(code, 16));
    if (value === undefined) isKnown = false;
    return value ?? '';
  });
  return isKnown ? segment : undefined;
}

function charOf(codePoint: number): string | undefined {
  return codePoint <= 0x10ffff ? String.fromCodePoint(codePoint) : undefined;
}
