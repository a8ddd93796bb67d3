/** `locktopus namespaces`: the namespaces of a server. */
import { CONNECTION_NOTES, CONNECTION_OPTIONS } from '../connection.ts';
import { JSON_OPTION, jsonLine, paperOf, tooManyOperands, withAnswer } from '../operator.ts';
import { listNamespaces } from '../stats-text.ts';
import { type Verb, VerbExit } from '../verb.ts';

export const NAMESPACES: Verb = {
  usage: 'namespaces [options]',
  examples: [
    ['locktopus namespaces', 'the namespaces in use, with their sessions and locks'],
    ['locktopus namespaces --json', 'the same, for programs'],
  ],
  options: [...CONNECTION_OPTIONS, JSON_OPTION],
  notes: `The command's own namespace is listed, too: default, unless you name another.

${CONNECTION_NOTES}`,
  async run(given, context) {
    const fault = tooManyOperands(given, 0);
    if (fault !== undefined) return fault;
    return withAnswer(given, context, async (client, signal) => {
      const namespaces = client.namespaces({ signal });
      if (given.has(JSON_OPTION.flag)) {
        for await (const namespace of namespaces) context.out(jsonLine(namespace));
      } else {
        await listNamespaces(namespaces, paperOf(context), context.out);
      }
      return VerbExit.ok;
    });
  },
};
