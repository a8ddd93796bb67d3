/**
 * `lock`: requests an atomic set of resources. A retry with the `ref` of a live lock reports it.
 */
import type { JsonObject } from '../../runtime/unknown.ts';
import {
  type LockRecord,
  type LockTerms,
  type Ref,
  type SessionLock,
  termsOf,
} from '../../session/lock-record.ts';
import type { LockError } from '../../session/session-host.ts';
import type { Resource } from '../../table/resource.ts';
import type { Wait } from '../../table/waits.ts';
import { limitError, RequestError } from '../errors.ts';
import { decodeMs, decodeName, shorten } from '../fields.ts';
import { firstOf } from '../replies.ts';
import type { ActionDefinition, RequestContext } from '../requests.ts';
import { decodeResources } from '../resources.ts';

export interface LockRequest {
  readonly action: 'lock';
  readonly ref: Ref | undefined;
  readonly resources: readonly Resource[];
  readonly terms: LockTerms;
}

export const lock: ActionDefinition<LockRequest> = {
  fields: ['resources', 'waitMs', 'holdMs', 'owner', 'label'],
  decode(message, ref, limits) {
    const resources = decodeResources(message.resources, limits, 'session');
    if (resources instanceof RequestError) return resources;
    const terms = decodeTerms(message);
    return terms instanceof RequestError ? terms : { action: 'lock', ref, resources, terms };
  },
  answer(context, request) {
    const { ref, resources, terms } = request;
    const session = context.session();
    const known = ref === undefined ? undefined : session.locks.getByRef(ref);
    if (known !== undefined) {
      repeat(context, request, known);
      return;
    }
    const taken = session.lock(resources, terms, ref);
    if (mayHaveSearched(taken)) context.channel.yieldTurn();
    if ('code' in taken) refuse(context, request, taken);
    else context.replies.lock(taken);
  },
  help: [
    {
      example: { action: 'lock', resources: [{ type: 'write', path: ['orders', '17'] }] },
      does: 'write: exclusive',
    },
    {
      example: { action: 'lock', resources: [{ type: 'read', path: ['orders'] }] },
      does: 'read: shared with other reads',
    },
    {
      example: { action: 'lock', resources: [{ type: 'read', path: ['gpu'], limit: 4 }] },
      does: 'at most 4 reads at a time',
    },
    {
      example: { action: 'lock', waitMs: 0, resources: [{ type: 'write', path: ['a'] }] },
      does: 'try-lock: fails instead of waiting',
    },
  ],
};

function decodeTerms(message: JsonObject): LockTerms | RequestError {
  const waitMs = decodeMs(message.waitMs, 'waitMs', 0);
  if (waitMs instanceof RequestError) return waitMs;
  const holdMs = decodeMs(message.holdMs, 'holdMs', 1);
  if (holdMs instanceof RequestError) return holdMs;
  const owner = decodeName(message.owner, 'owner');
  if (owner instanceof RequestError) return owner;
  const label = decodeName(message.label, 'label');
  if (label instanceof RequestError) return label;
  return termsOf(waitMs, holdMs, owner, label);
}

/** Whether a costly deadlock search may have run. An owner's only lock cannot close a cycle. */
function mayHaveSearched(taken: SessionLock | LockError): boolean {
  if ('code' in taken) return taken.code === 'deadlock';
  const { owner } = taken.context;
  return owner !== undefined && owner.locks.size > 1 && taken.state === 'enqueued';
}

function refuse({ host, replies }: RequestContext, request: LockRequest, error: LockError): void {
  if (error.code === 'timeout') {
    replies.state(request, error.id, 'timeout');
  } else if (error.code === 'deadlock') {
    replies.error(request, deadlockError(error.cycle), cycleFields(error.cycle));
  } else {
    replies.error(request, limitError(error.code, host.limits));
  }
}

/** Answers a request whose `ref` is in use: for a retry, with the state of its lock. */
function repeat({ replies }: RequestContext, request: LockRequest, known: SessionLock): void {
  if (isSameRequest(known.resources, request.resources)) {
    replies.lock(known);
    return;
  }
  const message = `ref is in use by lock ${known.id}, which has other resources: choose another ref or release that lock first`;
  replies.error(request, new RequestError('ref_in_use', message));
}

/** Whether both have the same resources in the same order. */
function isSameRequest(a: readonly Resource[], b: readonly Resource[]): boolean {
  return a.length === b.length && a.every((resource, i) => isSame(resource, b[i]));
}

function isSame(a: Resource, b: Resource | undefined): boolean {
  if (a.type !== b?.type || limitOf(a) !== limitOf(b)) return false;
  return a.path.length === b.path.length && a.path.every((segment, i) => segment === b.path[i]);
}

function limitOf(resource: Resource): number | undefined {
  return resource.type === 'read' ? resource.limit : undefined;
}

/*
 * A deadlock as an error: which owner waits for which. A cycle may have thousands of owners, with
 * long names and paths that other clients chose, so only the first links are spelled out.
 */

function deadlockError(cycle: readonly Wait<LockRecord>[]): RequestError {
  const { listed } = firstOf(cycle);
  const names = listed.map(({ waiter }) => nameOf(waiter.context));
  const more = cycle.length - listed.length;
  const back = more > 0 ? `${more} more, the last of which waits for ${names[0]}` : names[0];
  const way = [...names, back].join(' waits for ');
  return new RequestError('deadlock', `${way}: release what one of them holds, then ask again`);
}

/**
 * The additional fields of the error: a link for each of the first owners of the cycle, with the
 * lock it waits for and the path where they conflict, and how many links are left out.
 */
function cycleFields(cycle: readonly Wait<LockRecord>[]): object {
  const { listed } = firstOf(cycle);
  const more = cycle.length - listed.length;
  const links = listed.map(({ waiter, blocker, relation, path }) => ({
    owner: waiter.context.owner?.name,
    session: waiter.context.session.label,
    id: String(waiter.id),
    waitsFor: String(blocker.id),
    relation,
    path,
  }));
  return { cycle: links, cycleMore: more > 0 ? more : undefined };
}

function nameOf({ owner }: LockRecord): string {
  return JSON.stringify(shorten(owner?.name ?? ''));
}
