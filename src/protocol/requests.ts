/**
 * The contract of an action of the session protocol. Each action is one file in actions/ and one
 * row of the table there, from which the types, decoding and dispatch of requests follow.
 */
import type { Limits } from '../runtime/limits.ts';
import type { JsonObject } from '../runtime/unknown.ts';
import type { Ref } from '../session/lock-record.ts';
import type { Session } from '../session/session.ts';
import type { SessionSettings } from '../session/session-host.ts';
import type { Channel, EndReason, ProtocolHost } from './channel.ts';
import type { RequestError } from './errors.ts';
import type { Envelope, ReplyWriter } from './replies.ts';
import type { Watching } from './watching.ts';

/** An example of a request, and what it does. */
export interface HelpRow {
  readonly example: object;
  readonly does: string;
}

export interface ActionDefinition<R extends Envelope> {
  /** The fields that a request may have beside `action` and `ref`. */
  readonly fields: readonly string[];
  /**
   * The request, or the first error in `message`. Nothing is checked again after this.
   *
   * @param message has only known fields
   */
  readonly decode: (message: JsonObject, ref: Ref | undefined, limits: Limits) => R | RequestError;
  /** Carries out the request and answers it. The client is admitted. */
  readonly answer: (context: RequestContext, request: R) => void;
  /** The rows of this action in the answer to `help`. */
  readonly help: readonly HelpRow[];
}

/** Settings that the client chose for a new session. The others are the connection's defaults. */
export type SessionWishes = {
  readonly [F in Exclude<keyof SessionSettings, 'client'>]?: SessionSettings[F] | undefined;
};

/** What an action may use of the connection that sent the request. */
export interface RequestContext {
  readonly host: ProtocolHost;
  readonly channel: Channel;
  readonly replies: ReplyWriter;
  /** Whether the client may evict the locks of others. */
  readonly isAdmin: boolean;
  /** The session of this connection, if one has begun. */
  readonly begun: Session | undefined;
  /** The watched paths of this connection. */
  readonly watching: Watching;
  /** The session of this connection; begins one if none has begun. */
  session(): Session;
  /** Begins the session. None may have begun. */
  begin(wishes: SessionWishes): Session;
  /** Takes over the session of that name, if it exists. None may have begun. */
  resume(name: string): Session | undefined;
  /** A `hello` is refused: requests are not carried out until another one is accepted. */
  helloRefused(): void;
  /** From now on a message must arrive at least every `heartbeatMs` milliseconds (>= 1). */
  expectHeartbeat(heartbeatMs: number): void;
  /** Ends the connection once all output has been sent. */
  end(reason: EndReason): void;
}
