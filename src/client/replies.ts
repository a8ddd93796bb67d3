/**
 * Validates what arrives from the server; past this, types hold. Unknown fields are ignored, as the
 * protocol requires; known ones of a wrong type are a breach of it.
 */
import { type DeadlockStep, ProtocolError } from './errors.ts';

export type LockState = 'enqueued' | 'acquired' | 'timeout' | 'expired' | 'evicted' | 'released';

export interface ReplyError {
  readonly code: string;
  readonly message: string;
  readonly cycle: readonly DeadlockStep[];
  /** Further steps of the cycle, which are not listed. */
  readonly cycleMore: number;
  /** The address of the server that serves instead of this one. */
  readonly owner: string | undefined;
}

export type Fields = Readonly<Record<string, unknown>>;

export interface Reply {
  readonly action: string | undefined;
  /** This client's own refs are integers. */
  readonly ref: number | undefined;
  readonly id: string | undefined;
  readonly state: LockState | undefined;
  readonly error: ReplyError | undefined;
  /** All fields, for actions that have more. */
  readonly fields: Fields;
}

const STATES: ReadonlySet<unknown> = new Set([
  'enqueued',
  'acquired',
  'timeout',
  'expired',
  'evicted',
  'released',
] satisfies LockState[]);

/** Characters of an invalid message that are shown in an error. */
const EXCERPT_LENGTH = 60;

/** @param text one message as it arrived */
export function decodeReply(text: string): Reply | ProtocolError {
  const fields = parseMessage(text);
  return fields instanceof ProtocolError ? fields : toReply(fields, text);
}

/** @param text one message as it arrived */
export function parseMessage(text: string): Fields | ProtocolError {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    return new ProtocolError(`this is not a Locktopus server: it sent ${excerpt(text)}`);
  }
  if (isFields(fields)) return fields;
  return new ProtocolError(`the server sent a message that is not an object: ${excerpt(text)}`);
}

/** @param text the message of which these are the fields, for errors */
export function toReply(fields: Fields, text: string): Reply | ProtocolError {
  const { action, ref, id, state } = fields;
  const error = fields.error === undefined ? undefined : decodeError(fields.error);
  if (
    !isOptionalString(action) ||
    !isOptionalString(id) ||
    !(ref === undefined || Number.isSafeInteger(ref)) ||
    !(state === undefined || STATES.has(state)) ||
    (id !== undefined && !isId(id)) ||
    error === 'bad'
  ) {
    return new ProtocolError(`the server sent a message with an invalid field: ${excerpt(text)}`);
  }
  return {
    action,
    ref: ref as number | undefined,
    id,
    state: state as LockState | undefined,
    error,
    fields,
  };
}

/** What a server reads at most; infinite where it does not say. */
export interface MessageLimits {
  readonly maxMessageBytes: number;
  readonly maxResourcesPerLock: number;
}

/** The reply to `hello`. */
export interface Greeting {
  readonly session: string;
  readonly sessionId: string;
  readonly namespace: string;
  readonly version: string;
  /** Of a server that shares its locks with others: its address, as it calls itself. */
  readonly server: string | undefined;
  readonly abandonTimeoutMs: number;
  /** The number of locks listed after it; undefined if the session is new. */
  readonly resumedLocks: number | undefined;
  readonly limits: MessageLimits;
}

const PROTOCOL_VERSION = 2;

export function decodeGreeting({ fields }: Reply): Greeting | ProtocolError {
  const { session, sessionId, namespace, protocol, version, server } = fields;
  const { abandonTimeoutMs, resumed, locks } = fields;
  const limits = decodeLimits(isFields(fields.limits) ? fields.limits : {});
  if (protocol !== PROTOCOL_VERSION) {
    return new ProtocolError(
      `the server speaks protocol version ${String(protocol)}, this client version ${PROTOCOL_VERSION}`,
    );
  }
  if (
    typeof session !== 'string' ||
    session === '' ||
    typeof sessionId !== 'string' ||
    typeof namespace !== 'string' ||
    typeof version !== 'string' ||
    !isOptionalString(server) ||
    !isCount(abandonTimeoutMs) ||
    (resumed !== undefined && resumed !== true) ||
    (resumed === true && !isCount(locks)) ||
    limits === undefined
  ) {
    return new ProtocolError('the answer to hello has a missing or invalid field');
  }
  const resumedLocks = resumed === true ? (locks as number) : undefined;
  return { session, sessionId, namespace, version, server, abandonTimeoutMs, resumedLocks, limits };
}

/** Undefined if one has a wrong type. */
function decodeLimits(fields: Fields): MessageLimits | undefined {
  const {
    maxMessageBytes = Number.POSITIVE_INFINITY,
    maxResourcesPerLock = Number.POSITIVE_INFINITY,
  } = fields;
  if (!isLimit(maxMessageBytes) || !isLimit(maxResourcesPerLock)) return undefined;
  return { maxMessageBytes, maxResourcesPerLock };
}

function isLimit(value: unknown): value is number {
  return value === Number.POSITIVE_INFINITY || isCount(value);
}

/** `reply` is valid, but not at this time. */
export function outOfTurn({ action, state, error }: Reply): ProtocolError {
  const parts = [`action ${action ?? 'missing'}`];
  if (state !== undefined) parts.push(`state ${state}`);
  if (error !== undefined) parts.push(`error ${error.code}`);
  return new ProtocolError(`the server sent an unexpected message: ${parts.join(', ')}`);
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An integer of 0 or more. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

export function isPath(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((segment) => typeof segment === 'string');
}

function decodeError(value: unknown): ReplyError | 'bad' {
  if (!isFields(value)) return 'bad';
  const { code, message, cycle = [], cycleMore = 0, owner } = value;
  if (typeof code !== 'string' || typeof message !== 'string') return 'bad';
  if (!isOptionalString(owner)) return 'bad';
  if (!Array.isArray(cycle) || !cycle.every(isStep) || !isCount(cycleMore)) return 'bad';
  return { code, message, cycle, cycleMore, owner };
}

function isStep(value: unknown): value is DeadlockStep {
  if (!isFields(value)) return false;
  const { owner, session, id, waitsFor, relation, path } = value;
  return (
    [owner, id, waitsFor, relation].every((text) => typeof text === 'string') &&
    isOptionalString(session) &&
    isPath(path)
  );
}

export function isOptionalString(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string';
}

/** An id is a number below 2^53 in decimal digits. */
export function isId(text: string): boolean {
  return /^\d{1,16}$/.test(text);
}

function excerpt(text: string): string {
  const cut = text.length > EXCERPT_LENGTH ? `${text.slice(0, EXCERPT_LENGTH)}…` : text;
  return JSON.stringify(cut);
}
