/** `locktopus run`: runs a command while holding a lock. */
import { CONNECTION_NOTES, CONNECTION_OPTIONS } from '../connection.ts';
import type { Verb } from '../verb.ts';

export const RUN: Verb = {
  usage: 'run [options] -- COMMAND [ARGUMENT…]',
  examples: [
    [
      'locktopus run -w orders/17 -- ./bill.sh 17',
      'bill.sh, once no other command works on order 17',
    ],
  ],
  options: [...CONNECTION_OPTIONS],
  notes: CONNECTION_NOTES,
  takesCommand: true,
  async run() {
    return 'not implemented';
  },
};
