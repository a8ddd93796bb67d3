/**
 * The contracts between a conversation and its transport, lines on TCP or WebSocket messages: what
 * the transport offers (`Channel`), what it calls (`Conversation`), and what all conversations
 * share.
 */
import type { Message } from '../runtime/message.ts';
import type { SessionLock } from '../session/lock-record.ts';
import type { Namespaces } from '../session/namespace.ts';
import type { Session } from '../session/session.ts';
import type { SessionHost } from '../session/session-host.ts';
import type { Auth, AuthFailure, Locality } from './auth.ts';
import type { RequestError } from './errors.ts';

/** Why the server ends a conversation. Each has a WebSocket close code. */
export type EndReason =
  | 'goodbye'
  | 'bad_input'
  | 'taken_over'
  | 'silent'
  | 'evicted'
  | 'unauthorized'
  | 'shutting_down';

/**
 * What a conversation needs of its transport. Messages are byte strings (see byte-string.ts) of
 * UTF-8, delivered whole and in order. Messages sent after `end` are ignored.
 */
export interface Channel {
  /** The peer's address, for people. */
  readonly client: string;
  /** Where the connection comes from. A proxy that forwards bytes is taken for the client. */
  readonly locality: Locality;
  /** Bytes of output that the peer has not read. */
  readonly unreadBytes: number;
  /**
   * Milliseconds since messages of the peer may last have arrived and not been read, because the one
   * before them was costly: 0 while it is so, Infinity if it never was.
   */
  readonly heldAgoMs: number;
  /**
   * Sends an answer. Answers are written together, once the input of this turn has been processed.
   *
   * @param mayWait the message may go out a turn later, with the output of that turn
   */
  reply(message: string, mayWait?: boolean): void;
  /** Sends a notification: written as soon as the present callback has returned. */
  notify(message: string): void;
  /**
   * The present request was costly: other connections get a turn before the next message of this
   * one is received. Its answer may be longer than what a client may leave unread.
   */
  yieldTurn(): void;
  /**
   * The client has sent a valid first message: the transport stops its deadline for one.
   *
   * @param maxMessageBytes the limit for each message from now on
   */
  admitted(maxMessageBytes: number): void;
  /** Ends the connection once all output has been sent. Nothing is received after this. */
  end(reason: EndReason): void;
}

/** What a transport needs of a conversation. */
export interface Conversation {
  /** The session of the client, if one has begun. */
  readonly begun: Session | undefined;
  /** One message from the client, in order of arrival. */
  receive(message: Message): void;
  /** The input was not a valid message and has been dropped, or none arrived in time. */
  inputError(error: RequestError): void;
  /** The client has ended its side of the connection. */
  inputEnded(): void;
  /** The client has closed the connection as done with it: WebSocket close 1000. `lost` follows. */
  clientDone(): void;
  /** The peer has read all output. */
  onWritable(): void;
  /** The connection has ended, for any reason. Further calls do nothing. */
  lost(): void;
  /** The server drains: notifies the client once, and continues. */
  serverDraining(): void;
  /** The server stops: notifies the client and ends the conversation. */
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
  /** Makes a session name that cannot be guessed and was never used before. */
  readonly newName: () => string;
  /** Of a server that shares its locks: where clients find it. */
  readonly serverAddress?: () => string | undefined;
  /** When the server started, by the clock. */
  readonly startedMs: number;
  /** Milliseconds, for sessions whose client chooses none. */
  readonly defaultAbandonTimeoutMs: number;
  readonly auth: Auth;
  readonly adminObserver: AdminObserver | undefined;
  /** Counts and logs that `client`, an address, failed to authenticate. */
  authFailed(failure: AuthFailure, client: string): void;
}
