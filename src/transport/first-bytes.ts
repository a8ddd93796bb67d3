/**
 * Tells HTTP from the line protocol by the first bytes of a connection: HTTP begins with the name
 * of a method and a space. A line of ours begins with `{`, which no method does.
 */
import type { Buffer } from 'node:buffer';
import { METHODS } from 'node:http';

const STARTS: readonly string[] = METHODS.map((method) => `${method} `);
const LONGEST = Math.max(...STARTS.map((start) => start.length));

/** @returns 'undecided' while `bytes` could still become either */
export function protocolOf(bytes: Buffer): 'http' | 'lines' | 'undecided' {
  const text = bytes.toString('latin1', 0, LONGEST);
  let isOpen = false;
  for (const start of STARTS) {
    if (text.startsWith(start)) return 'http';
    if (start.startsWith(text)) isOpen = true;
  }
  return isOpen ? 'undecided' : 'lines';
}
