/**
 * From the text of one message to a typed request of the session protocol, or to a refusal. All
 * validation of that protocol is here and in resources.ts.
 */
import { type Limits, MAX_NAME_LENGTH } from '../runtime/limits.ts';
import { type LockTerms, NO_TERMS, type Ref } from '../session/lock-record.ts';
import { RequestError } from './errors.ts';
import { isObject, type JsonObject, shorten, unknownField } from './fields.ts';
import { decodeId } from './ids.ts';
import {
  ACTIONS,
  type Action,
  type EvictRequest,
  type HelloRequest,
  type InspectRequest,
  type LockRequest,
  type Request,
} from './requests.ts';
import { decodePath, decodeResources, isLongerThan } from './resources.ts';

/** A refused message, with as much of its envelope as could be read, to be echoed. */
export interface InvalidRequest {
  readonly error: RequestError;
  readonly action: Action | undefined;
  readonly ref: Ref | undefined;
  /** What a `hello` showed, whatever else is wrong with it. */
  readonly token?: string | undefined;
}

/** Locks in one answer to `inspect`. */
const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;

const KNOWN_ACTIONS: ReadonlySet<Action> = new Set(ACTIONS);

const FIELDS: Readonly<Record<Action, ReadonlySet<string>>> = {
  hello: new Set([
    'action',
    'ref',
    'token',
    'session',
    'namespace',
    'abandonTimeoutMs',
    'heartbeatMs',
    'label',
  ]),
  lock: new Set(['action', 'ref', 'resources', 'waitMs', 'holdMs', 'owner', 'label']),
  release: new Set(['action', 'ref', 'id']),
  inspect: new Set(['action', 'ref', 'path', 'id', 'after', 'max']),
  watch: new Set(['action', 'ref', 'path']),
  unwatch: new Set(['action', 'ref', 'path']),
  evict: new Set(['action', 'ref', 'id', 'sessionId']),
  ping: new Set(['action', 'ref']),
  stats: new Set(['action', 'ref']),
  help: new Set(['action', 'ref']),
  bye: new Set(['action', 'ref']),
};

/** @param text one line or WebSocket message, without its line end */
export function decodeRequest(text: string, limits: Limits): Request | InvalidRequest {
  const message = parseObject(text);
  if (message instanceof RequestError) {
    return { error: message, action: undefined, ref: undefined };
  }
  const action = decodeAction(message.action);
  const ref = decodeRef(message.ref);
  const request = decodeFields(message, action, ref, limits);
  if (!(request instanceof RequestError)) return request;
  const { token } = message;
  return {
    error: request,
    action: action instanceof RequestError ? undefined : action,
    ref: ref instanceof RequestError ? undefined : ref,
    token: action === 'hello' && typeof token === 'string' ? token : undefined,
  };
}

/** The request, or the first thing that is wrong with `message`. */
function decodeFields(
  message: JsonObject,
  action: Action | RequestError,
  ref: Ref | undefined | RequestError,
  limits: Limits,
): Request | RequestError {
  if (ref instanceof RequestError) return ref;
  if (action instanceof RequestError) return action;
  return unknownField(message, FIELDS[action], '') ?? decodeBody(message, action, ref, limits);
}

export function isInvalid(decoded: Request | InvalidRequest): decoded is InvalidRequest {
  return 'error' in decoded;
}

/**
 * The JSON object that `text` is, or a refusal. Also what v1 begins with.
 *
 * @param example what else could be sent, for whoever sent something that is no object
 */
export function parseObject(
  text: string,
  example = '{"action":"help"}',
): JsonObject | RequestError {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return new RequestError('bad_json', `bad JSON: ${reason}`);
  }
  if (isObject(value)) return value;
  return new RequestError('bad_json', `a message must be one JSON object, such as ${example}`);
}

function decodeBody(
  message: JsonObject,
  action: Action,
  ref: Ref | undefined,
  limits: Limits,
): Request | RequestError {
  switch (action) {
    case 'lock':
      return decodeLock(message, ref, limits);
    case 'release': {
      const id = decodeId(message.id, 'id');
      return id instanceof RequestError ? id : { action, ref, id };
    }
    case 'hello':
      return decodeHello(message, ref, limits);
    case 'inspect':
      return decodeInspect(message, ref, limits);
    case 'watch':
    case 'unwatch': {
      const path = decodePathOrRoot(message.path, limits);
      return path instanceof RequestError ? path : { action, ref, path };
    }
    case 'evict':
      return decodeEvict(message, ref);
    default:
      return { action, ref };
  }
}

function decodeLock(
  message: JsonObject,
  ref: Ref | undefined,
  limits: Limits,
): LockRequest | RequestError {
  const resources = decodeResources(message.resources, limits, 'session');
  if (resources instanceof RequestError) return resources;
  const terms = decodeTerms(message, ref);
  return terms instanceof RequestError ? terms : { action: 'lock', resources, terms };
}

function decodeTerms(message: JsonObject, ref: Ref | undefined): LockTerms | RequestError {
  const waitMs = decodeMs(message.waitMs, 'waitMs', 0);
  if (waitMs instanceof RequestError) return waitMs;
  const holdMs = decodeMs(message.holdMs, 'holdMs', 1);
  if (holdMs instanceof RequestError) return holdMs;
  const owner = decodeName(message.owner, 'owner');
  if (owner instanceof RequestError) return owner;
  const label = decodeName(message.label, 'label');
  if (label instanceof RequestError) return label;
  const isBare = (ref ?? waitMs ?? holdMs ?? owner ?? label) === undefined;
  return isBare ? NO_TERMS : { ref, waitMs, holdMs, owner, label };
}

function decodeInspect(
  message: JsonObject,
  ref: Ref | undefined,
  limits: Limits,
): InspectRequest | RequestError {
  const path = decodePathOrRoot(message.path, limits);
  if (path instanceof RequestError) return path;
  const id = decodeId(message.id, 'id');
  if (id instanceof RequestError) return id;
  const after = decodeId(message.after, 'after');
  if (after instanceof RequestError) return after;
  const max = message.max === undefined ? DEFAULT_PAGE : message.max;
  if (!Number.isSafeInteger(max) || (max as number) < 1 || (max as number) > MAX_PAGE) {
    return new RequestError('bad_request', `max must be an integer from 1 to ${MAX_PAGE}`);
  }
  return { action: 'inspect', ref, path, id, after: after ?? 0, max: max as number };
}

function decodeEvict(message: JsonObject, ref: Ref | undefined): EvictRequest | RequestError {
  const id = decodeId(message.id, 'id');
  if (id instanceof RequestError) return id;
  const sessionId = decodeId(message.sessionId, 'sessionId', 'session');
  if (sessionId instanceof RequestError) return sessionId;
  if ((id === undefined) === (sessionId === undefined)) {
    return new RequestError(
      'bad_request',
      'evict needs the id of a lock or a sessionId, one of the two',
    );
  }
  return { action: 'evict', ref, id, sessionId };
}

function decodeHello(
  message: JsonObject,
  ref: Ref | undefined,
  limits: Limits,
): HelloRequest | RequestError {
  const token = decodeName(message.token, 'token');
  if (token instanceof RequestError) return token;
  const session = decodeName(message.session, 'session');
  if (session instanceof RequestError) return session;
  const namespace = decodeNamespace(message.namespace, limits);
  if (namespace instanceof RequestError) return namespace;
  const abandonTimeoutMs = decodeMs(message.abandonTimeoutMs, 'abandonTimeoutMs', 0);
  if (abandonTimeoutMs instanceof RequestError) return abandonTimeoutMs;
  const tooLong = abandonTooLong(abandonTimeoutMs ?? 0, 'abandonTimeoutMs', limits);
  if (tooLong !== undefined) return tooLong;
  const heartbeatMs = decodeMs(message.heartbeatMs, 'heartbeatMs', 1);
  if (heartbeatMs instanceof RequestError) return heartbeatMs;
  const label = decodeName(message.label, 'label');
  if (label instanceof RequestError) return label;
  if (session !== undefined && (namespace ?? abandonTimeoutMs ?? label) !== undefined) {
    return new RequestError(
      'bad_request',
      'a resumed session stays as it is: leave out namespace, abandonTimeoutMs and label',
    );
  }
  return { action: 'hello', ref, token, session, namespace, abandonTimeoutMs, heartbeatMs, label };
}

function decodeAction(value: unknown): Action | RequestError {
  if (KNOWN_ACTIONS.has(value as Action)) return value as Action;
  const given = typeof value === 'string' ? `"${shorten(value)}" is not an action` : undefined;
  const said = given ?? 'a message needs an "action"';
  return new RequestError('unknown_action', `${said}; the actions are ${ACTIONS.join(', ')}`);
}

function decodeRef(value: unknown): Ref | undefined | RequestError {
  if (value === undefined || Number.isSafeInteger(value)) return value as number | undefined;
  if (typeof value === 'string' && value.length <= MAX_NAME_LENGTH) return value;
  return new RequestError(
    'bad_request',
    `ref must be an integer below 2^53 or a string of at most ${MAX_NAME_LENGTH} characters`,
  );
}

/** A path that may be left out, for the whole namespace; `null` is not left out. */
function decodePathOrRoot(value: unknown, limits: Limits): string[] | RequestError {
  return value === undefined ? [] : decodePath(value, 'path', limits);
}

function decodeNamespace(value: unknown, limits: Limits): string | undefined | RequestError {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '') {
    return new RequestError('bad_request', 'namespace must be a string that is not empty');
  }
  return namespaceTooLong(value, limits) ?? value;
}

/** The refusal of a namespace with too long a name; of use to v1 as well. */
export function namespaceTooLong(name: string, limits: Limits): RequestError | undefined {
  if (!isLongerThan(name, limits.maxSegmentBytes)) return undefined;
  return new RequestError(
    'segment_too_long',
    `namespace is too long: at most ${limits.maxSegmentBytes} bytes are allowed`,
  );
}

/**
 * The refusal of an abandon timeout that is longer than may be; of use to the query of a handshake, too.
 *
 * @param field what it is called where it stands
 */
export function abandonTooLong(
  ms: number,
  field: string,
  limits: Limits,
): RequestError | undefined {
  const { maxAbandonTimeoutMs } = limits;
  if (ms <= maxAbandonTimeoutMs) return undefined;
  return new RequestError(
    'bad_request',
    `${field} may be at most ${maxAbandonTimeoutMs} on this server`,
  );
}

function decodeMs(value: unknown, field: string, min: number): number | undefined | RequestError {
  if (value === undefined) return undefined;
  if (Number.isSafeInteger(value) && (value as number) >= min) return value as number;
  return new RequestError(
    'bad_request',
    `${field} must be an integer of milliseconds, ${min} or more`,
  );
}

function decodeName(value: unknown, field: string): string | undefined | RequestError {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value.length <= MAX_NAME_LENGTH) return value;
  return new RequestError(
    'bad_request',
    `${field} must be a string of at most ${MAX_NAME_LENGTH} characters`,
  );
}
