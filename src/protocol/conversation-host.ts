/** What all conversations of a server share. */
import type { SessionHost } from '../session/session-host.ts';
import type { Auth, AuthFailure } from './auth.ts';
import type { AdminObserver } from './eviction.ts';

export interface ProtocolHost extends SessionHost {
  /** Milliseconds; for sessions that don't choose. */
  readonly defaultAbandonTimeoutMs: number;
  readonly auth: Auth;
  readonly adminObserver: AdminObserver | undefined;
  /** `client` is not let in. */
  turnedAway(failure: AuthFailure, client: string): void;
}
