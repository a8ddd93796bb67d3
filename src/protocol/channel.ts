/** The seam between what is said and what carries it: lines on TCP, or WebSocket messages. */
import type { SessionLock } from '../session/lock-record.ts';
import type { Namespaces } from '../session/namespace.ts';
import type { Session } from '../session/session.ts';
import type { SessionHost } from '../session/session-host.ts';
import type { Auth, AuthFailure, Locality } from './auth.ts';
import type { RequestError } from './errors.ts';

/** Why a conversation is over, from the server's side. WebSocket has a close code for each. */
export type EndReason =
  | 'goodbye'
  | 'bad_input'
  | 'taken_over'
  | 'silent'
  | 'evicted'
  | 'unauthorized'
  | 'shutting_down';

/**
 * What a conversation needs of its transport. Messages are byte strings (see byte-string.ts) of UTF-8;
 * they arrive whole and in order. What is sent after `end` is ignored.
 */
export interface Channel {
  /** The peer as people know it: an address. */
  readonly client: string;
  /** A proxy that passes bytes on looks the same as a client in its place. */
  readonly locality: Locality;
  /** Bytes sent that wait for the peer to read them. */
  readonly unreadBytes: number;
  /**
   * Sends what the client has asked for: it goes out with all else that is said while what has arrived
   * is taken in.
   *
   * @param mayWait it changes nothing for the client if this goes out a turn later, with what there is
   *   to say by then
   */
  reply(message: string, mayWait?: boolean): void;
  /** Sends news that the client waits for: it goes out at once, when what brought it about is done. */
  notify(message: string): void;
  /**
   * What was just asked for was costly: all other connections get a turn before the next message of
   * this client is received.
   */
  yieldTurn(): void;
  /**
   * The client has sent a first message and may stay.
   *
   * @param maxMessageBytes bytes that each message may have from now on
   */
  admitted(maxMessageBytes: number): void;
  /** Ends the connection when all that was sent has gone out. Nothing is received after this. */
  end(reason: EndReason): void;
}

/** What a transport needs of a conversation. */
export interface Conversation {
  /** One message from the client, in order of arrival. */
  receive(text: string): void;
  /** What came, or did not come in time, is no message; it has been dropped. */
  inputError(error: RequestError): void;
  /** The client has ended its side: nothing comes any more. */
  inputEnded(): void;
  /** The peer has read what was waiting for it. */
  onWritable(): void;
  /** The connection has ended, with or without a goodbye. Called again, it does nothing. */
  lost(): void;
  /** The server drains: say so, once, and go on. */
  serverDraining(): void;
  /** The server stops: say so, and end. */
  shutDown(): void;
}

/** What an administrator takes away. */
export interface Eviction {
  readonly session: Session;
  /** The lock to take away; undefined if the session is to end. */
  readonly lock: SessionLock | undefined;
  /** How many locks this ends, held and enqueued. */
  readonly locks: number;
}

/** Hears of each eviction before it is done. It must not throw or change a lock. */
export interface AdminObserver {
  /** @param by the address of the administrator */
  evicted(eviction: Eviction, by: string): void;
}

/** What all conversations of a server share. */
export interface ProtocolHost extends SessionHost {
  readonly registry: Namespaces;
  /** Makes a name for a session that cannot be guessed and was never used before. */
  readonly newName: () => string;
  /** Milliseconds; for sessions that don't choose. */
  readonly defaultAbandonTimeoutMs: number;
  readonly auth: Auth;
  readonly adminObserver: AdminObserver | undefined;
  /** `client` is not admitted. */
  authFailed(failure: AuthFailure, client: string): void;
}
