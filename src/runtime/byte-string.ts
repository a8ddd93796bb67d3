/**
 * Byte strings: strings whose every character stands for one byte (0-255). They are cheap to
 * concatenate, their length is the number of bytes, and Node writes them (as latin1) without a copy
 * of ours.
 */
import { Buffer } from 'node:buffer';

/** The UTF-8 encoding of `text` as a byte string. Lone surrogates become U+FFFD. */
export function toByteString(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return Buffer.from(text, 'utf8').toString('latin1');
  }
  return text;
}

/** The text whose UTF-8 encoding is `bytes`. */
export function fromByteString(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
