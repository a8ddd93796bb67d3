/** `locktopus watch`: what happens to locks, as it happens. */

import { pathText } from '../../operators/path-text.ts';
import { printable } from '../../operators/printable.ts';
import { CONNECTION_NOTES, CONNECTION_OPTIONS, withClient } from '../connection.ts';
import { eventText } from '../event-text.ts';
import { JSON_OPTION, jsonLine, paperOf, pathOperand } from '../operator.ts';
import { PLAIN } from '../paint.ts';
import { type Verb, VerbExit } from '../verb.ts';

export const WATCH: Verb = {
  usage: 'watch [options] [PATH]',
  examples: [
    ['locktopus watch', 'every lock that is enqueued, acquired or released from now on'],
    ['locktopus watch orders', 'those at or below a path'],
    ['locktopus watch --json orders', 'the same, for programs'],
  ],
  options: [...CONNECTION_OPTIONS, JSON_OPTION],
  notes: `When the connection breaks, it reconnects. What it missed meanwhile, or because it was too
slow, is reported as one line. Ctrl-C ends it. Exit code 69 if no server can be reached at first.

${CONNECTION_NOTES}`,
  async run(given, context) {
    const path = pathOperand(given);
    if (typeof path === 'string') return path;
    return withClient(given, context, async (client) => {
      const note = (text: string): void => context.err(`locktopus: ${printable(text)}\n`);
      client.on('disconnected', ({ error }) => note(`${error.message}; reconnecting`));
      client.on('resumed', ({ address }) => note(`connected to ${address} again`));
      client.on('connected', ({ address }) => note(`connected to ${address} again`));
      client.on('draining', ({ address }) => note(`${address} is about to stop`));
      note(`watching ${pathText(path)} in namespace ${client.namespace}; Ctrl-C ends it`);
      const { paint = PLAIN } = paperOf(context);
      for await (const event of client.watch({ path })) {
        const time = paint('dim', timeOfDay());
        context.out(
          given.has(JSON_OPTION.flag) ? jsonLine(event) : `${time}  ${eventText(event, paint)}\n`,
        );
      }
      return VerbExit.ok;
    });
  },
};

/** As in the server's log: `14:03:07.250Z`. */
function timeOfDay(): string {
  const stamp = new Date().toISOString();
  return stamp.slice(stamp.indexOf('T') + 1);
}
