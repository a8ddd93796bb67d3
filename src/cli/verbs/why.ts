/** `locktopus why`: why a lock waits, down to who holds it up. */

import { onlyLock, waitingChain } from '../../operators/waiting-chain.ts';
import { noSuchLock, writeChain } from '../chain-text.ts';
import { CONNECTION_NOTES, CONNECTION_OPTIONS } from '../connection.ts';
import {
  idFault,
  JSON_OPTION,
  jsonLine,
  paperOf,
  tooManyOperands,
  withAnswer,
} from '../operator.ts';
import { type Verb, VerbExit } from '../verb.ts';

export const WHY: Verb = {
  usage: 'why [options] ID',
  examples: [
    ['locktopus why 1795475605972002', 'what a lock waits for, down to the locks that are held'],
  ],
  options: [...CONNECTION_OPTIONS, JSON_OPTION],
  notes: `ls shows the ids. Exit code 1 if there is no such lock in the namespace.

${CONNECTION_NOTES}`,
  async run(given, context) {
    const [id] = given.operands;
    if (id === undefined) return 'name the lock by its id, as ls shows it';
    const fault = idFault(id) ?? tooManyOperands(given, 1);
    if (fault !== undefined) return fault;
    return withAnswer(given, context, async (client, signal) => {
      const find = (lockId: string) => onlyLock(client.inspect({ id: lockId, signal }));
      const first = await find(id);
      if (first === undefined) throw noSuchLock(id);
      const chain = waitingChain(first, find);
      if (!given.has(JSON_OPTION.flag)) {
        await writeChain(chain, paperOf(context), context.out);
        return VerbExit.ok;
      }
      for await (const { lock, depth, waiter } of chain) {
        context.out(jsonLine({ depth, waiter, ...lock }));
      }
      return VerbExit.ok;
    });
  },
};
