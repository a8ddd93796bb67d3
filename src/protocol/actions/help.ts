/** `help`: a page for a person at a terminal, one JSON object per line. */
import type { Ref } from '../../session/lock-record.ts';
import { VERSION } from '../../version.ts';
import type { ActionDefinition, HelpRow } from '../requests.ts';

export interface HelpRequest {
  readonly action: 'help';
  readonly ref: Ref | undefined;
}

const NOTES: readonly string[] = [
  `Locktopus ${VERSION}, a lock server.`,
  'Type one JSON object per line. Replies carry the action and, if you gave one, the "ref".',
  'A path covers everything below it; [] is the whole namespace. One lock may name many resources.',
  'A lock is "acquired" at once, or "enqueued" and "acquired" when its turn comes.',
];

/** @param rows gives the help rows of all actions, in the order of the table */
export function helpOf(rows: () => readonly HelpRow[]): ActionDefinition<HelpRequest> {
  return {
    fields: [],
    decode: (_message, ref) => ({ action: 'help', ref }),
    answer({ channel, replies }, request) {
      // The answer is about a hundred times as long as the request.
      channel.yieldTurn();
      for (const note of NOTES) replies.fields(request, { note });
      for (const row of rows()) replies.fields(request, row);
      replies.fields(request, { end: true });
    },
    help: [],
  };
}
