/** `ping`: a request without effect. Like every message, it counts as a heartbeat. */
import type { Ref } from '../../session/lock-record.ts';
import type { ActionDefinition } from '../requests.ts';

export interface PingRequest {
  readonly action: 'ping';
  readonly ref: Ref | undefined;
}

export const ping: ActionDefinition<PingRequest> = {
  fields: [],
  decode: (_message, ref) => ({ action: 'ping', ref }),
  answer: ({ replies }, request) => replies.fields(request, {}),
  help: [{ example: { action: 'ping' }, does: 'does nothing but get an answer' }],
};
