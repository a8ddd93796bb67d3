/**
 * Decodes the text of one message into a typed request of the session protocol, or into an error.
 * The common fields are decoded here, the others by the file of the action. Requests are not
 * checked again after this.
 */
import type { Limits } from '../runtime/limits.ts';
import type { JsonObject } from '../runtime/unknown.ts';
import type { Ref } from '../session/lock-record.ts';
import { ACTION_NAMES, type Action, decodeAs, isAction, type Request } from './actions/table.ts';
import { RequestError } from './errors.ts';
import { decodeRef, parseObject, shorten } from './fields.ts';

/** An invalid message, with the part of its envelope that could be read, for the reply. */
export interface InvalidRequest {
  readonly error: RequestError;
  readonly action: Action | undefined;
  readonly ref: Ref | undefined;
  /** Whether it was meant as a `hello`: then the requests behind it must not run without it. */
  readonly isHello: boolean;
  /** The token of a `hello` that is invalid for another reason. */
  readonly token?: string | undefined;
}

/** @param text one line or WebSocket message, without its line end */
export function decodeRequest(text: string, limits: Limits): Request | InvalidRequest {
  const message = parseObject(text, limits);
  if (message instanceof RequestError) {
    return { error: message, action: undefined, ref: undefined, isHello: false };
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
    isHello: action instanceof RequestError ? looksLikeHello(message) : action === 'hello',
    token: action === 'hello' && typeof token === 'string' ? token : undefined,
  };
}

export function isInvalid(decoded: Request | InvalidRequest): decoded is InvalidRequest {
  return 'error' in decoded;
}

/** Fields that only `hello` has. */
const HELLO_FIELDS = ['namespace', 'session', 'token', 'abandonTimeoutMs', 'heartbeatMs'];

/** Whether a message without a known action is a misspelt `hello`. */
function looksLikeHello(message: JsonObject): boolean {
  const { action } = message;
  if (typeof action === 'string' && action.trim().toLowerCase() === 'hello') return true;
  return HELLO_FIELDS.some((field) => field in message);
}

/** The request, or the first error in `message`. */
function decodeFields(
  message: JsonObject,
  action: Action | RequestError,
  ref: Ref | undefined | RequestError,
  limits: Limits,
): Request | RequestError {
  if (ref instanceof RequestError) return ref;
  if (action instanceof RequestError) return action;
  return decodeAs(action, message, ref, limits);
}

function decodeAction(value: unknown): Action | RequestError {
  if (isAction(value)) return value;
  const given = typeof value === 'string' ? `"${shorten(value)}" is not an action` : undefined;
  const said = given ?? 'a message needs an "action"';
  return new RequestError('unknown_action', `${said}; the actions are ${ACTION_NAMES.join(', ')}`);
}
