/**
 * Strict validation of UTF-8 (RFC 3629; RFC 6455, 8.1): nothing is replaced, and a byte order mark
 * is text.
 *
 * A fatal `TextDecoder` throws at the first byte that can't occur in valid text, even when bytes
 * arrive one by one; `test/net/websocket/utf8.test.ts` checks that. Its exceptions don't leave this
 * file.
 */

const STRICT = { fatal: true, ignoreBOM: true };

/** For whole texts only: a decoder that has streamed once is slower. */
const wholeDecoder = new TextDecoder('utf-8', STRICT);

/** The text that `bytes` encode; undefined if they are not valid UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return wholeDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Validates one text that arrives in pieces. Must not be used after it has returned false. */
export class Utf8Judge {
  readonly #decoder = new TextDecoder('utf-8', STRICT);

  /** Whether the text so far, with `bytes` after it, may still become UTF-8. */
  accepts(bytes: Uint8Array): boolean {
    try {
      this.#decoder.decode(bytes, { stream: true });
      return true;
    } catch {
      return false;
    }
  }

  /** Whether the text may end here: not in the middle of a character. */
  acceptsEnd(): boolean {
    try {
      this.#decoder.decode();
      return true;
    } catch {
      return false;
    }
  }
}
