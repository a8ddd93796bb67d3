/**
 * The table of actions, in the order in which `help` and error messages list them. A new action is
 * one file, one row here, and its section in PROTOCOL.md.
 */
import type { Limits } from '../../runtime/limits.ts';
import type { JsonObject } from '../../runtime/unknown.ts';
import type { Ref } from '../../session/lock-record.ts';
import type { RequestError } from '../errors.ts';
import { unknownField } from '../fields.ts';
import type { Envelope } from '../replies.ts';
import type { ActionDefinition, HelpRow, RequestContext } from '../requests.ts';
import { bye } from './bye.ts';
import { evict } from './evict.ts';
import { extend } from './extend.ts';
import { hello } from './hello.ts';
import { helpOf } from './help.ts';
import { inspect } from './inspect.ts';
import { lock } from './lock.ts';
import { namespaces } from './namespaces.ts';
import { ping } from './ping.ts';
import { release } from './release.ts';
import { stats } from './stats.ts';
import { unwatch, watch } from './watch.ts';

export const ACTIONS = {
  hello,
  lock,
  release,
  extend,
  inspect,
  watch,
  unwatch,
  evict,
  ping,
  stats,
  namespaces,
  help: helpOf((): readonly HelpRow[] => ACTION_NAMES.flatMap((name) => ACTIONS[name].help)),
  bye,
} as const;

export type Action = keyof typeof ACTIONS;

/** The type of request of each action. */
type Requests = {
  [A in Action]: (typeof ACTIONS)[A] extends ActionDefinition<infer R> ? R : never;
};

/** Any decoded request. */
export type Request = Requests[Action];

export const ACTION_NAMES = Object.keys(ACTIONS) as readonly Action[];

const NAMES: ReadonlySet<unknown> = new Set(ACTION_NAMES);

export function isAction(value: unknown): value is Action {
  return NAMES.has(value);
}

const COMMON_FIELDS: readonly (keyof Envelope)[] = ['action', 'ref'];

const KNOWN_FIELDS: ReadonlyMap<Action, ReadonlySet<string>> = new Map(
  ACTION_NAMES.map((name) => [name, new Set([...COMMON_FIELDS, ...ACTIONS[name].fields])]),
);

/** Decodes the fields of `message` beside its action and ref, or returns the first error. */
export function decodeAs(
  action: Action,
  message: JsonObject,
  ref: Ref | undefined,
  limits: Limits,
): Request | RequestError {
  const known = KNOWN_FIELDS.get(action) ?? new Set();
  return unknownField(message, known, '') ?? ACTIONS[action].decode(message, ref, limits);
}

/** Carries out `request` and answers it. */
export function answer<A extends Action>(
  context: RequestContext,
  request: Requests[A] & { readonly action: A },
): void {
  const actions: { readonly [B in Action]: ActionDefinition<Requests[B]> } = ACTIONS;
  actions[request.action].answer(context, request);
}
