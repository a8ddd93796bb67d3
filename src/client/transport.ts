/** The seam between a client and what carries its messages: TCP, TLS, a Unix socket, WebSocket. */
import type { Address } from './url.ts';

/** A connection, open or about to be. */
export interface Transport {
  /** Sends one message. Only once it is open. */
  send(text: string): void;
  /** Ends it when what was sent has gone out. */
  close(): void;
  /** Ends it at once. */
  destroy(): void;
}

/** What is heard of a connection. None of it from inside of `OpenTransport`. */
export interface TransportEvents {
  opened(): void;
  /** One message, whole. */
  message(text: string): void;
  /** It has ended, or could not be opened; called last, and once. */
  closed(error: Error | undefined): void;
}

/**
 * @param token is shown where the opening of a connection is already a request; undefined if there
 *   is none
 */
export type OpenTransport = (
  address: Address,
  token: string | undefined,
  events: TransportEvents,
) => Transport;
