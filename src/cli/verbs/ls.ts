/** `locktopus ls`: who holds what, and who waits behind whom. */

import { printable } from '../../operators/printable.ts';
import { nothingText } from '../chain-text.ts';
import { CONNECTION_NOTES, CONNECTION_OPTIONS } from '../connection.ts';
import { listLocks } from '../listing.ts';
import {
  JSON_OPTION,
  jsonLine,
  paperOf,
  pathOperand,
  serverLine,
  withAnswer,
} from '../operator.ts';
import { type Verb, VerbExit } from '../verb.ts';

export const LS: Verb = {
  usage: 'ls [options] [PATH]',
  examples: [
    ['locktopus ls', 'all locks of the namespace, held and waiting, in order of arrival'],
    ['locktopus ls --namespace shop orders/17', 'those at, above or below a path'],
    ['locktopus ls --json | grep \'"lost":true\'', 'those whose client is gone, for programs'],
  ],
  options: [...CONNECTION_OPTIONS, JSON_OPTION],
  notes: `In RESOURCES, w: is a write, r: a read, and r4: a read of which four are admitted at a time.
A path has slashes between its segments; in a segment, write \\/ for a slash. Exit code 0 also if
there are no locks.

${CONNECTION_NOTES}`,
  async run(given, context) {
    const path = pathOperand(given);
    if (typeof path === 'string') return path;
    return withAnswer(given, context, async (client, signal) => {
      const locks = client.inspect({ path, signal });
      if (given.has(JSON_OPTION.flag)) {
        for await (const lock of locks) context.out(jsonLine(lock));
        return VerbExit.ok;
      }
      context.out(serverLine(client));
      const count = await listLocks(locks, paperOf(context), context.out);
      const namespace = printable(client.namespace);
      if (count === 0) context.err(`${nothingText(path)} in namespace ${namespace}\n`);
      return VerbExit.ok;
    });
  },
};
