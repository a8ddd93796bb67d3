/**
 * Refusals: what a client is told when it asked for something it can't have. They are values, made
 * where the fault is found and sent as they are; an exception is a bug of the server.
 */
import type { Limits } from '../runtime/limits.ts';

/** Every code that a client may be sent. The list is fixed; PROTOCOL.md says what each one means. */
export type ErrorCode =
  | 'bad_json'
  | 'bad_utf8'
  | 'message_too_long'
  | 'unknown_action'
  | 'bad_request'
  | 'too_many_resources'
  | 'path_too_long'
  | 'segment_too_long'
  | 'too_many_locks'
  | 'too_many_waiters'
  | 'server_full'
  | 'too_many_watches'
  | 'too_many_sessions'
  | 'too_many_connections'
  | 'too_slow'
  | 'deadlock'
  | 'unauthorized'
  | 'hello_not_first'
  | 'hello_refused'
  | 'no_such_session'
  | 'ref_in_use'
  | 'no_such_lock'
  | 'id_needed'
  | 'forbidden'
  | 'taken_over'
  | 'evicted'
  | 'silent'
  | 'draining'
  | 'shutting_down';

export class RequestError {
  readonly code: ErrorCode;
  /** A sentence that tells a person what is wrong and what to do. */
  readonly message: string;

  constructor(code: ErrorCode, message: string) {
    this.code = code;
    this.message = message;
  }
}

export function tooManyConnections({ maxConnections }: Limits): RequestError {
  return new RequestError(
    'too_many_connections',
    `this server has ${maxConnections} connections, as many as are allowed; try again later`,
  );
}

export function noMoreSessions(
  code: 'too_many_sessions' | 'server_full',
  limits: Limits,
): RequestError {
  if (code === 'server_full') return serverFull(limits);
  return new RequestError(
    code,
    `this server has ${limits.maxSessions} sessions, as many as are allowed; try again later`,
  );
}

/** Of a connection whose first message was refused for being no message at all. */
export function noWayToBegin({ code, message }: RequestError): RequestError {
  return new RequestError(
    code,
    `${message}. A connection must begin with a JSON object, such as {"action":"help"}; closing it`,
  );
}

/**
 * Of a connection on which no valid message has come in time.
 *
 * @param ms milliseconds that there were
 * @param isInLine whether a line has begun that has no end
 */
export function tooSlow(ms: number, isInLine = false): RequestError {
  const why = isInLine ? `${NO_LINE_FEED}; ` : '';
  return new RequestError(
    'too_slow',
    `no valid message within ${ms} ms: ${why}connect again and begin with a JSON object, such as {"action":"help"}`,
  );
}

const NO_LINE_FEED = 'the line has no line feed (LF) at its end';

/** Of what came last, when the client has ended its side without ending the line. */
export const LINE_CUT_OFF = new RequestError(
  'bad_json',
  `${NO_LINE_FEED}, so it may be cut off and was not carried out`,
);

export function helloNotFirst(namespace: string): RequestError {
  return new RequestError(
    'hello_not_first',
    `hello must be the first message; this session is in namespace ${JSON.stringify(namespace)} already. Open another connection`,
  );
}

/** Of a request behind a `hello` that was refused: it would run in a session that was not asked for. */
export const HELLO_REFUSED = new RequestError(
  'hello_refused',
  'not carried out, because the hello before it was refused and no session has begun: correct the hello and send it again, or send {"action":"hello"} for the namespace of this connection',
);

/** Of a session to be resumed. One for all causes, so that nobody learns which names there have been. */
export const NO_SUCH_SESSION = new RequestError(
  'no_such_session',
  'there is no such session: it has ended, was abandoned, or never was. Say hello without it',
);

/** Of a client that promised to be heard every `heartbeatMs` milliseconds. */
export function silent(heartbeatMs: number): RequestError {
  return new RequestError(
    'silent',
    `nothing was heard for ${heartbeatMs} ms, which is longer than was promised`,
  );
}

export const TAKEN_OVER = new RequestError(
  'taken_over',
  'another connection has resumed this session; this one has no part in it now',
);

export const SESSION_EVICTED = new RequestError(
  'evicted',
  'an administrator has ended this session; all its locks are released',
);

export const SHUTTING_DOWN = new RequestError(
  'shutting_down',
  'the server is stopping; all locks are released',
);

/** What everybody is told who asks for something new while the server drains. */
export const DRAINING = new RequestError(
  'draining',
  'the server is about to stop: no new sessions and no new locks; release what you hold',
);

/** There is no memory for one more lock, session or watch. */
export function serverFull({ maxLockBytes }: Limits): RequestError {
  return new RequestError(
    'server_full',
    `the server's memory limit of ${maxLockBytes} bytes for locks, sessions and watches is reached; try again later, or use fewer and shorter paths and names`,
  );
}

/** The refusal of one lock more than there may be, in words. */
export function limitError(
  code: 'too_many_locks' | 'too_many_waiters' | 'server_full' | 'draining',
  limits: Limits,
): RequestError {
  if (code === 'draining') return DRAINING;
  if (code === 'server_full') return serverFull(limits);
  if (code === 'too_many_locks') {
    return new RequestError(
      code,
      `this session has ${limits.maxLocksPerSession} locks, as many as are allowed; release one first`,
    );
  }
  return new RequestError(
    code,
    `${limits.maxWaitersPerNamespace} locks wait in this namespace, as many as are allowed; try again later`,
  );
}
