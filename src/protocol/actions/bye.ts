/** `bye`: releases all locks and ends the connection. */
import type { Ref } from '../../session/lock-record.ts';
import type { ActionDefinition } from '../requests.ts';

export interface ByeRequest {
  readonly action: 'bye';
  readonly ref: Ref | undefined;
}

export const bye: ActionDefinition<ByeRequest> = {
  fields: [],
  decode: (_message, ref) => ({ action: 'bye', ref }),
  answer(context, request) {
    context.replies.fields(request, {});
    context.begun?.end();
    context.end('goodbye');
  },
  help: [{ example: { action: 'bye' }, does: 'releases all locks and ends the connection' }],
};
