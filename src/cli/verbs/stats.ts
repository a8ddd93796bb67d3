/** `locktopus stats`: numbers of a namespace. */
import { CONNECTION_NOTES, CONNECTION_OPTIONS } from '../connection.ts';
import {
  JSON_OPTION,
  jsonLine,
  paperOf,
  serverLine,
  tooManyOperands,
  withAnswer,
} from '../operator.ts';
import { statsText } from '../stats-text.ts';
import { type Verb, VerbExit } from '../verb.ts';

export const STATS: Verb = {
  usage: 'stats [options]',
  examples: [
    ['locktopus stats --namespace shop', 'sessions, locks and paths of a namespace'],
    ['locktopus stats --json', 'the same, for programs'],
  ],
  options: [...CONNECTION_OPTIONS, JSON_OPTION],
  notes: `One of the sessions is that of this command. /metrics has the numbers of the whole server.

${CONNECTION_NOTES}`,
  async run(given, context) {
    const fault = tooManyOperands(given, 0);
    if (fault !== undefined) return fault;
    return withAnswer(given, context, async (client, signal) => {
      const stats = await client.stats({ signal });
      if (given.has(JSON_OPTION.flag)) {
        context.out(jsonLine({ ...stats, server: client.server }));
      } else {
        context.out(`${serverLine(client)}${statsText(stats, paperOf(context))}`);
      }
      return VerbExit.ok;
    });
  },
};
