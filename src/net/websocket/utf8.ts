/**
 * Judging UTF-8 strictly (RFC 3629; RFC 6455, 8.1): nothing is replaced, a byte order mark is text.
 *
 * Node's `TextDecoder`, made fatal, throws at the first byte that no valid text could have there,
 * also when bytes come one by one; `test/net/websocket/utf8.test.ts` holds it to that. Its exceptions
 * end here.
 */

const STRICT = { fatal: true, ignoreBOM: true };

/** For whole texts only: once it has streamed, a decoder is slower. */
const wholeDecoder = new TextDecoder('utf-8', STRICT);

/** The text that `bytes` encode, or undefined when they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return wholeDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Judges one text whose bytes come in pieces. Not to be asked again once it has said no. */
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
