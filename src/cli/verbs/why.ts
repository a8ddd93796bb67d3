/** `locktopus why`: why a lock waits, down to who holds it up. */
import { type Client, type InspectedLock, RefusedError } from '../../client/index.ts';
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
import { waitingChain, writeChain } from '../waiting-chain.ts';

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
    if (id === undefined) return 'which lock? Give its id, as ls shows it';
    const fault = idFault(id) ?? tooManyOperands(given, 1);
    if (fault !== undefined) return fault;
    return withAnswer(given, context, async (client, signal) => {
      const first = await inspectOne(client, id, signal);
      const chain = waitingChain(first, async (other) => {
        try {
          return await inspectOne(client, other, signal);
        } catch (error) {
          // It has been released since.
          if (error instanceof RefusedError && error.code === 'no_such_lock') return undefined;
          throw error;
        }
      });
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

/** Rejects if there is no such lock. */
async function inspectOne(client: Client, id: string, signal: AbortSignal): Promise<InspectedLock> {
  for await (const lock of client.inspect({ id, signal })) return lock;
  throw new RefusedError('no_such_lock', `there is no lock ${id}`);
}
