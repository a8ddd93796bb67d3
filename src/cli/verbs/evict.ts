/** `locktopus evict`: takes away a lock, or ends a session. */
import { CONNECTION_NOTES, CONNECTION_OPTIONS } from '../connection.ts';
import { idFault, JSON_OPTION, jsonLine, tooManyOperands, withAnswer } from '../operator.ts';
import { type Verb, VerbExit } from '../verb.ts';

export const EVICT: Verb = {
  usage: 'evict [options] ID | evict [options] --session ID',
  examples: [
    ['locktopus evict 1795475605972001', 'takes a lock away from its client, held or waiting'],
    ['locktopus evict --session 12', 'ends a session, with all of its locks'],
  ],
  options: [
    ...CONNECTION_OPTIONS,
    JSON_OPTION,
    { flag: 'session', values: ['ID'], help: 'the session to end, as ls shows it' },
  ],
  notes: `For administrators: with an admin token or, if the server has none, on its own machine, as
SECURITY.md says. The client is notified, but may not know it yet when the next one acquires the
lock: its id, a fencing token, keeps off what the first client still does. Exit code 1 if there is
no such lock or session in the namespace, 77 without the token of an administrator.

${CONNECTION_NOTES}`,
  async run(given, context) {
    const sessionId = given.value('session');
    const id = sessionId ?? given.operands[0];
    if (id === undefined) return 'name the lock by its id, or a session by --session ID';
    const fault = idFault(id) ?? tooManyOperands(given, sessionId === undefined ? 1 : 0);
    if (fault !== undefined) return fault;
    return withAnswer(given, context, async (client, signal) => {
      const locks = await client.evict(sessionId === undefined ? { id } : { sessionId }, {
        signal,
      });
      if (given.has(JSON_OPTION.flag)) context.out(jsonLine({ locks }));
      else context.out(sessionId === undefined ? 'evicted\n' : `ended, with locks: ${locks}\n`);
      return VerbExit.ok;
    });
  },
};
