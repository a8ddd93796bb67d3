/**
 * The errors of both protocols: their codes, and the messages that several callers share. An error
 * is a value, made where the fault is found and sent unchanged; an exception is a bug in the
 * server.
 */
import type { Limits } from '../runtime/limits.ts';

interface ErrorFacts {
  readonly meaning: string;
  /** Whether the server ends the connection with it. */
  readonly endsConnection: 'yes' | 'no' | 'only as the first message';
  /** What a client may do about it. */
  readonly tryAgain: string;
}

/** Every error code. The rows repeat the table of PROTOCOL.md, section 5, word for word. */
export const ERROR_CODES = {
  bad_json: {
    meaning: "not a JSON object, or no LF at the end of the input's last line",
    endsConnection: 'only as the first message',
    tryAgain: 'corrected',
  },
  bad_utf8: {
    meaning: 'not UTF-8',
    endsConnection: 'only as the first message',
    tryAgain: 'corrected',
  },
  message_too_long: {
    meaning: 'a line exceeds the limit; where the next one begins is unknown',
    endsConnection: 'yes',
    tryAgain: 'shorter',
  },
  unknown_action: {
    meaning: '`action` is missing or unknown',
    endsConnection: 'no',
    tryAgain: 'corrected',
  },
  bad_request: {
    meaning: 'a field is missing, unknown or invalid; the message names it',
    endsConnection: 'no',
    tryAgain: 'corrected',
  },
  too_many_resources: {
    meaning: 'more resources than a lock may have',
    endsConnection: 'no',
    tryAgain: 'with fewer',
  },
  path_too_long: {
    meaning: 'more segments than a path may have',
    endsConnection: 'no',
    tryAgain: 'shorter',
  },
  segment_too_long: {
    meaning: "more bytes than a segment, or a namespace's name, may have",
    endsConnection: 'no',
    tryAgain: 'shorter',
  },
  too_many_locks: {
    meaning: 'the session has reached its limit of locks',
    endsConnection: 'no',
    tryAgain: 'after a release',
  },
  too_many_waiters: {
    meaning: 'the namespace has reached its limit of waiting locks; nothing was enqueued',
    endsConnection: 'no',
    tryAgain: 'later',
  },
  server_full: {
    meaning: 'the locks, sessions and watches of the server have reached their memory limit',
    endsConnection: 'no',
    tryAgain: 'later, or with fewer resources',
  },
  too_many_watches: {
    meaning: 'the connection has reached its limit of watched paths',
    endsConnection: 'no',
    tryAgain: 'after an `unwatch`',
  },
  too_many_sessions: {
    meaning: 'the server has reached its limit of sessions; a session can still be resumed',
    endsConnection: 'no',
    tryAgain: 'later',
  },
  too_many_connections: {
    meaning:
      'unsolicited, after the first bytes of a new connection: the server has reached its limit of connections. Up to a hundred clients at a time get this error; for one more the oldest is cut off, one that has sent nothing first',
    endsConnection: 'yes',
    tryAgain: 'later',
  },
  too_slow: {
    meaning: 'unsolicited: no valid message arrived in time',
    endsConnection: 'yes',
    tryAgain: 'sooner',
  },
  deadlock: {
    meaning: 'the wait would close a cycle of owners; the error has the `cycle`',
    endsConnection: 'no',
    tryAgain: 'after a release',
  },
  unauthorized: {
    meaning: 'a token is required, and it is missing or wrong',
    endsConnection: 'yes',
    tryAgain: 'with the right one',
  },
  no_such_session: {
    meaning: 'the session to resume or to evict has ended or never existed',
    endsConnection: 'no',
    tryAgain: 'with a new session',
  },
  hello_not_first: {
    meaning: 'the session has already begun',
    endsConnection: 'no',
    tryAgain: 'on another connection',
  },
  hello_refused: {
    meaning: 'the `hello` before this request was refused, or misspelt, so no session has begun',
    endsConnection: 'no',
    tryAgain: 'after a `hello` that is accepted',
  },
  ref_in_use: {
    meaning: 'the `ref` belongs to a lock with other resources',
    endsConnection: 'no',
    tryAgain: 'with another ref',
  },
  no_such_lock: {
    meaning: 'the lock does not exist, or is not one of this session; it may be released already',
    endsConnection: 'no',
    tryAgain: 'no',
  },
  id_needed: {
    meaning: 'the session has several locks, and the request has no `id`',
    endsConnection: 'no',
    tryAgain: 'with an id',
  },
  not_acquired: {
    meaning: 'the lock is still enqueued, so it has no hold to extend',
    endsConnection: 'no',
    tryAgain: 'once it is acquired',
  },
  draining: {
    meaning:
      'the server is about to stop: no new sessions, no new locks; also unsolicited, when the drain begins (section 3)',
    endsConnection: 'no',
    tryAgain: 'later, or with another server',
  },
  forbidden: {
    meaning: 'for administrators only',
    endsConnection: 'no',
    tryAgain: 'as an administrator',
  },
  taken_over: {
    meaning: 'unsolicited: another connection has resumed the session',
    endsConnection: 'yes',
    tryAgain: 'no',
  },
  silent: {
    meaning: 'unsolicited: the promised heartbeat did not arrive; the session is lost',
    endsConnection: 'yes',
    tryAgain: 'resume',
  },
  evicted: {
    meaning: 'unsolicited: an administrator has ended the session',
    endsConnection: 'yes',
    tryAgain: 'with a new session',
  },
  shutting_down: {
    meaning: 'unsolicited: the server stops; all locks are released',
    endsConnection: 'yes',
    tryAgain: 'later',
  },
  restarting: {
    meaning:
      'unsolicited: a server that stores its locks stops, or is not ready yet; sessions and locks are kept',
    endsConnection: 'yes',
    tryAgain: 'in a moment: resume',
  },
  not_owner: {
    meaning:
      'unsolicited, after the first bytes of a new connection: another server serves; the error has its address in `owner`, if it is known',
    endsConnection: 'yes',
    tryAgain: 'with that server, if its address is one that the client was given',
  },
} as const satisfies Record<string, ErrorFacts>;

export type ErrorCode = keyof typeof ERROR_CODES;

export class RequestError {
  readonly code: ErrorCode;
  /** For people: what is wrong and what to do. Not part of the protocol's contract. */
  readonly message: string;
  /** More fields of the error. */
  readonly details: object | undefined;

  constructor(code: ErrorCode, message: string, details?: object) {
    this.code = code;
    this.message = message;
    this.details = details;
  }
}

export function tooManyConnections({ maxConnections }: Limits): RequestError {
  return new RequestError(
    'too_many_connections',
    `connection limit reached (${maxConnections}); try again later`,
  );
}

export function noMoreSessions(
  code: 'too_many_sessions' | 'server_full',
  limits: Limits,
): RequestError {
  if (code === 'server_full') return serverFull(limits);
  return new RequestError(code, `session limit reached (${limits.maxSessions}); try again later`);
}

/**
 * @param maxBytes the present limit for a line
 * @param isTokenDue whether the limit rises after authentication
 */
export function messageTooLong(maxBytes: number, isTokenDue = false): RequestError {
  const until = isTokenDue ? ' before authentication' : '';
  return new RequestError(
    'message_too_long',
    `a line may have at most ${maxBytes} bytes${until}; closing the connection`,
  );
}

/** For a connection whose first input is not a JSON object. */
export function noWayToBegin({ code, message }: RequestError): RequestError {
  return new RequestError(
    code,
    `${message}. A connection must begin with a JSON object, such as {"action":"help"}; closing it`,
  );
}

/**
 * For a connection that sent no valid message in time.
 *
 * @param ms the deadline in milliseconds
 * @param isInLine whether an unfinished line has arrived
 */
export function tooSlow(ms: number, isInLine = false): RequestError {
  const why = isInLine ? `${NO_LINE_FEED}; ` : '';
  return new RequestError(
    'too_slow',
    `no valid message within ${ms} ms: ${why}connect again and begin with a JSON object, such as {"action":"help"}`,
  );
}

const NO_LINE_FEED = 'the line has no line feed (LF) at its end';

/** For an unfinished line at the end of the input. */
export const LINE_CUT_OFF = new RequestError(
  'bad_json',
  `${NO_LINE_FEED}: it may be truncated and was not carried out`,
);

export function helloNotFirst(namespace: string): RequestError {
  return new RequestError(
    'hello_not_first',
    `hello must be the first message: this session is already in namespace ${JSON.stringify(namespace)}; open another connection`,
  );
}

/**
 * For a request behind a refused `hello`: it would run in a session that the client did not ask
 * for.
 */
export const HELLO_REFUSED = new RequestError(
  'hello_refused',
  'not carried out: the hello before this request was refused, so no session has begun; correct the hello and send it again, or send {"action":"hello"} for the namespace of this connection',
);

/**
 * For a resume. The message is the same for all causes, so it does not reveal which names existed.
 */
export const NO_SUCH_SESSION = new RequestError(
  'no_such_session',
  'no such session: it has ended, was abandoned or never existed; send hello without a session',
);

/** @param heartbeatMs the interval in milliseconds that the client promised in `hello` */
export function silent(heartbeatMs: number): RequestError {
  return new RequestError(
    'silent',
    `missed heartbeat: no message within the promised ${heartbeatMs} ms`,
  );
}

export const TAKEN_OVER = new RequestError(
  'taken_over',
  'another connection has resumed this session; closing this one',
);

export const SESSION_EVICTED = new RequestError(
  'evicted',
  'an administrator has ended this session; all its locks are released',
);

export const SHUTTING_DOWN = new RequestError(
  'shutting_down',
  'the server is stopping; all locks are released',
);

/** Like `SHUTTING_DOWN`, from a server with a store. */
export const RESTARTING = new RequestError(
  'restarting',
  'the server is stopping, and keeps sessions and locks: connect again and resume the session',
);

/** Answers new connections while the server reads its store. */
export const RECOVERING = new RequestError(
  'restarting',
  'the server is starting and not ready yet: connect again in a moment',
);

/** Answers new connections while a server can't prove that it still owns its locks. */
export const NOT_PROVEN = new RequestError(
  'restarting',
  'the server does not reach its store, and does not know whether it still serves: connect again in a moment, or to another server',
);

/**
 * Answers new connections to a server that waits for its turn.
 *
 * @param owner the address of the server that serves now, if it is known
 */
export function notOwner(owner: string | undefined): RequestError {
  if (owner === undefined) {
    return new RequestError(
      'not_owner',
      'this server waits for its turn, and no other one serves now: connect again in a moment',
    );
  }
  return new RequestError('not_owner', `the server at ${owner} serves now: connect there`, {
    owner,
  });
}

/** Answers requests for new locks and sessions while the server drains. */
export const DRAINING = new RequestError(
  'draining',
  'the server is about to stop: no new sessions and no new locks; release what you hold',
);

/** The memory limit leaves no space for another lock, session or watch. */
export function serverFull({ maxLockBytes }: Limits): RequestError {
  return new RequestError(
    'server_full',
    `memory limit reached (${maxLockBytes} bytes for locks, sessions and watches); try again later, or use fewer and shorter paths and names`,
  );
}

/** Why a lock request fails at a limit or during a drain. */
export function limitError(
  code: 'too_many_locks' | 'too_many_waiters' | 'server_full' | 'draining',
  limits: Limits,
): RequestError {
  if (code === 'draining') return DRAINING;
  if (code === 'server_full') return serverFull(limits);
  if (code === 'too_many_locks') {
    return new RequestError(
      code,
      `lock limit of this session reached (${limits.maxLocksPerSession}); release a lock first`,
    );
  }
  return new RequestError(
    code,
    `limit of waiting locks in this namespace reached (${limits.maxWaitersPerNamespace}); try again later`,
  );
}
