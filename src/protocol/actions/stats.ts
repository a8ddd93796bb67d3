/** `stats`: how many sessions, locks, resources and paths the namespace has. */
import type { Ref } from '../../session/lock-record.ts';
import type { Namespace } from '../../session/namespace.ts';
import type { ActionDefinition } from '../requests.ts';

export interface StatsRequest {
  readonly action: 'stats';
  readonly ref: Ref | undefined;
}

export const stats: ActionDefinition<StatsRequest> = {
  fields: [],
  decode: (_message, ref) => ({ action: 'stats', ref }),
  answer(context, request) {
    context.replies.fields(request, statsFields(context.session().namespace));
  },
  help: [
    {
      example: { action: 'stats' },
      does: 'how many locks, waiters and sessions this namespace has',
    },
  ],
};

function statsFields(namespace: Namespace): object {
  const { size } = namespace.table;
  return {
    ...countFields(namespace),
    resources: { acquired: size.resourcesAcquired, enqueued: size.resourcesEnqueued },
    paths: size.paths,
  };
}

/** The fields that say which namespace it is, and how many sessions and locks it has. */
export function countFields({ name, sessions, table: { size } }: Namespace): object {
  return {
    namespace: name,
    sessions: sessions.size,
    locks: { acquired: size.acquired, enqueued: size.enqueued },
  };
}
