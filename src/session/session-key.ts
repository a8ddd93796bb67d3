/**
 * A session is resumed by its name, a secret. The server keeps only a hash of it, in memory and in
 * a store: reading those does not let anyone resume a session.
 */
import { hash } from 'node:crypto';

/** The key of the session with that name: the SHA-256 of the name, in base64url. */
export function keyOfName(name: string): string {
  return hash('sha256', name, 'base64url');
}
