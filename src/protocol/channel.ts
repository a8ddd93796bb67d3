/** The seam between what is said and what carries it: lines on TCP, or WebSocket messages. */
import type { Locality } from './auth.ts';
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

/** What a conversation needs of its transport. */
export interface Channel {
  /** The peer as people know it: an address. */
  readonly client: string;
  /** A proxy that passes bytes on looks the same as a client in its place. */
  readonly locality: Locality;
  /** Bytes sent that wait for the peer to read them. */
  readonly unreadBytes: number;
  /**
   * Sends one message; messages arrive whole and in order. Ignored after `end`.
   *
   * @param mayWait it changes nothing for the client if this goes out a turn later, with what there is
   *   to say by then
   */
  send(text: string, mayWait?: boolean): void;
  /** The same for a message that is known to be ASCII: it need not be looked at any more. */
  sendAscii(text: string, mayWait?: boolean): void;
  /**
   * The same for news that many are sent and none waits for: a byte string (see byte-string.ts), put
   * together once. It goes out a little later, with what there is to say by then.
   */
  sendShared(bytes: string): void;
  /** What comes from now on is thrown away, and its end means nothing; `end` will follow. */
  stopListening(): void;
  /**
   * What was just asked for was costly: everybody else gets a turn before the next message of this
   * client is received.
   */
  yieldTurn(): void;
  /** Ends the connection when all that was sent has gone out. Nothing is received after this. */
  end(reason: EndReason): void;
}

/**
 * Characters from which on a message is costly to take apart, whatever is in it: one megabyte of JSON
 * that is nested as deeply as it goes holds everybody up for 130 ms, and this is some 2 ms of that.
 * After one its client rests.
 */
export const COSTLY_LENGTH = 16 * 1024;

/** What a transport needs of a conversation. */
export interface Conversation {
  /** One message from the client, in order of arrival. */
  receive(text: string): void;
  /** A message whose bytes were no text; it has been dropped. */
  receiveGarbage(error: RequestError): void;
  /** The peer has read what was waiting for it. */
  onWritable(): void;
  /** The connection has ended, with or without a goodbye. Called again, it does nothing. */
  lost(): void;
  /** The server drains: say so, once, and go on. */
  serverDraining(): void;
  /** The server stops: say so, and end. */
  shutDown(): void;
}
