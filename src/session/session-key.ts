/**
 * A session is resumed by its name, a secret. The server keeps only a hash of it, in memory and in
 * a store: reading those does not let anyone resume a session.
 */
import { Buffer } from 'node:buffer';
import { hash, randomFillSync } from 'node:crypto';

/** Random bytes in the name of a session. */
const NAME_BYTES = 24;
/**
 * Names drawn at a time: each draw costs 4 % of a connection that says hello, locks and leaves (a
 * CPU profile of the server with 16 clients that do that over and over).
 */
const DRAWN_TOGETHER = 64;

/** @returns a source of names that can't be guessed */
export function nameSource(): () => string {
  const drawn = Buffer.alloc(NAME_BYTES * DRAWN_TOGETHER);
  let at = drawn.length;
  return () => {
    if (at === drawn.length) {
      randomFillSync(drawn);
      at = 0;
    }
    const end = at + NAME_BYTES;
    const name = drawn.toString('base64url', at, end);
    drawn.fill(0, at, end);
    at = end;
    return name;
  };
}

/** The key of the session with that name: the SHA-256 of the name, in base64url. */
export function keyOfName(name: string): string {
  return hash('sha256', name, 'base64url');
}
