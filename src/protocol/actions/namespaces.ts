/**
 * `namespaces`: the namespaces in use, with how much each has. The answer is one JSON object per
 * namespace, by name, and one at the end.
 */
import type { Ref } from '../../session/lock-record.ts';
import type { Namespace, Namespaces } from '../../session/namespace.ts';
import { RequestError } from '../errors.ts';
import { decodeNamespace } from '../fields.ts';
import { decodeMax, MAX_ANSWER_LENGTH } from '../paging.ts';
import type { ActionDefinition } from '../requests.ts';
import { countFields } from './stats.ts';

export interface NamespacesRequest {
  readonly action: 'namespaces';
  readonly ref: Ref | undefined;
  /** Continues after this name, which need not be in use; '' begins with the first. */
  readonly after: string;
  /** Most namespaces in the answer; at least 1. */
  readonly max: number;
}

export const namespaces: ActionDefinition<NamespacesRequest> = {
  fields: ['after', 'max'],
  decode(message, ref, limits) {
    const after = decodeNamespace(message.after, limits, 'after');
    if (after instanceof RequestError) return after;
    const max = decodeMax(message.max);
    if (max instanceof RequestError) return max;
    return { action: 'namespaces', ref, after: after ?? '', max };
  },
  answer(context, request) {
    const { host, channel, replies } = context;
    // A page may have a thousand lines.
    channel.yieldTurn();
    for (const line of namespaceLines(request, host.registry)) replies.fields(request, line);
  },
  help: [
    {
      example: { action: 'namespaces' },
      does: 'the namespaces in use, and how many locks, waiters and sessions each has',
    },
  ],
};

/** The lines of the answer: for each, the fields after its action and ref. */
export function namespaceLines({ after, max }: NamespacesRequest, registry: Namespaces): object[] {
  const lines: object[] = [];
  let last: Namespace | undefined;
  let length = 0;
  for (const namespace of registry.after(after)) {
    if (last !== undefined && (lines.length === max || length > MAX_ANSWER_LENGTH)) {
      return [...lines, { end: true, next: last.name }];
    }
    lines.push(countFields(namespace));
    length += namespace.name.length;
    last = namespace;
  }
  return [...lines, { end: true }];
}
