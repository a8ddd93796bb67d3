/** The seam between a client and what carries its messages: TCP, TLS, a Unix socket, WebSocket. */
import type { Address } from './url.ts';

/** A connection, open or opening. */
export interface Transport {
  /** Sends one message. Only after `opened`. */
  send(text: string): void;
  /** Ends it when what was sent has gone out. */
  close(): void;
  /** Ends it at once. */
  destroy(): void;
}

/** Events of a connection. None is called before `OpenTransport` has returned. */
export interface TransportEvents {
  opened(): void;
  /** One message, whole. */
  message(text: string): void;
  /** It has ended, or could not be opened; called last, and once. */
  closed(error: Error | undefined): void;
}

/**
 * @param token is sent where opening a connection is a request of its own, as on WebSocket
 */
export type OpenTransport = (
  address: Address,
  token: string | undefined,
  events: TransportEvents,
) => Transport;
