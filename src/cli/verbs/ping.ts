/** `locktopus ping`: whether a server answers, and how fast. */
import { CONNECTION_NOTES, CONNECTION_OPTIONS } from '../connection.ts';
import { JSON_OPTION, jsonLine, serverLine, tooManyOperands, withAnswer } from '../operator.ts';
import { type Verb, VerbExit } from '../verb.ts';

export const PING: Verb = {
  usage: 'ping [options]',
  examples: [
    ['locktopus ping', 'the time that a message takes to the server and back'],
    ['until locktopus ping; do sleep 1; done', 'waits for a server that starts'],
  ],
  options: [...CONNECTION_OPTIONS, JSON_OPTION],
  notes: `Exit code 69 if no server can be reached.

${CONNECTION_NOTES}`,
  async run(given, context) {
    const fault = tooManyOperands(given, 0);
    if (fault !== undefined) return fault;
    return withAnswer(given, context, async (client, signal) => {
      const ms = Math.round((await client.ping({ signal })) * 100) / 100;
      const { server } = client;
      const isJson = given.has(JSON_OPTION.flag);
      context.out(isJson ? jsonLine({ ms, server }) : `${ms} ms\n${serverLine(client)}`);
      return VerbExit.ok;
    });
  },
};
