/**
 * What an action of the session protocol is: one file in actions/ each, and a row of their table. From
 * the table follow the requests there are, how they are decoded, and who answers them.
 */
import type { Limits } from '../runtime/limits.ts';
import type { Ref } from '../session/lock-record.ts';
import type { Session } from '../session/session.ts';
import type { SessionSettings } from '../session/session-host.ts';
import type { Channel, EndReason, ProtocolHost } from './channel.ts';
import type { RequestError } from './errors.ts';
import type { JsonObject } from './fields.ts';
import type { Envelope, ReplyWriter } from './replies.ts';
import type { Watching } from './watching.ts';

/** Something to type, and what it does. */
export interface HelpRow {
  readonly example: object;
  readonly does: string;
}

export interface ActionDefinition<R extends Envelope> {
  /** The fields that its requests may have beside `action` and `ref`. */
  readonly fields: readonly string[];
  /**
   * The request, or the first thing that is wrong with `message`: nothing past this is checked again.
   *
   * @param message has none but known fields
   */
  readonly decode: (message: JsonObject, ref: Ref | undefined, limits: Limits) => R | RequestError;
  /** Does what is asked, and answers; the client is admitted. */
  readonly answer: (context: RequestContext, request: R) => void;
  /** What `help` says of it. */
  readonly help: readonly HelpRow[];
}

/** What a client may choose of the session that begins; the connection's own choice for the rest. */
export type SessionWishes = {
  readonly [F in Exclude<keyof SessionSettings, 'client'>]?: SessionSettings[F] | undefined;
};

/** One connection, as those who answer its requests see it. */
export interface RequestContext {
  readonly host: ProtocolHost;
  readonly channel: Channel;
  readonly replies: ReplyWriter;
  /** Whether the client may touch the locks of others. */
  readonly isAdmin: boolean;
  /** The session of this connection, if one has begun. */
  readonly begun: Session | undefined;
  /** What this connection watches. */
  readonly watching: Watching;
  /** The session of this connection; it begins now if there is none. */
  session(): Session;
  /** Begins the session; only if none has begun. */
  begin(wishes: SessionWishes): Session;
  /** Takes over the session of that name, if there is one; only if none has begun. */
  resume(name: string): Session | undefined;
  /** A `hello` is refused: until another one is accepted, requests behind it are not carried out. */
  helloRefused(): void;
  /** From here on the client must be heard at least every `heartbeatMs` milliseconds (>= 1). */
  expectHeartbeat(heartbeatMs: number): void;
  /** Ends the connection when all that was said has gone out. */
  end(reason: EndReason): void;
}
