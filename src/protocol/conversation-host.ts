/** What all conversations of a server share. */
import type { SessionHost } from '../session/session-host.ts';
import type { Access, Stranger } from './auth.ts';
import type { AdminObserver } from './eviction.ts';

export interface ConversationHost extends SessionHost {
  /** Milliseconds; for sessions that don't choose. */
  readonly defaultAbandonTimeoutMs: number;
  readonly access: Access;
  readonly adminObserver: AdminObserver | undefined;
  /** `client` is not let in. */
  turnedAway(stranger: Stranger, client: string): void;
}
