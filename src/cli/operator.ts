/** What the operator's verbs share: one question to a server, and its answer on paper or as JSON. */

import { systemClock, type Timer } from '../client/environment.ts';
import { type Client, type Path, UnreachableError } from '../client/index.ts';
import { isId } from '../client/replies.ts';
import { parsePath, ROOT_TEXT } from '../operators/path-text.ts';
import { printable, printableJson } from '../operators/printable.ts';
import type { Arguments, VerbOption } from './arguments.ts';
import { withClient } from './connection.ts';
import { paintFor } from './paint.ts';
import type { Paper } from './text-table.ts';
import type { VerbContext } from './verb.ts';

export const JSON_OPTION: VerbOption = {
  flag: 'json',
  values: [],
  help: 'one JSON object per line, for programs',
};

/** Milliseconds without a connection after which a verb that wants one answer gives up. */
const GIVE_UP_MS = 10_000;

/**
 * As `withClient`, for work that is over once the server has answered.
 *
 * @param work is given a signal that aborts when the server can't be reached any more
 */
export function withAnswer(
  given: Arguments,
  context: VerbContext,
  work: (client: Client, signal: AbortSignal) => Promise<number>,
): Promise<number | string> {
  return withClient(given, context, async (client) => {
    const clock = systemClock();
    const giveUp = new AbortController();
    let timer: Timer | undefined;
    client.on('disconnected', ({ error }) => {
      const message = `${error.message}, and no server has answered since`;
      timer ??= clock.setTimer(GIVE_UP_MS, () => giveUp.abort(new UnreachableError(message)));
    });
    const stop = (): void => {
      timer?.cancel();
      timer = undefined;
    };
    client.on('resumed', stop);
    client.on('connected', stop);
    try {
      return await work(client, giveUp.signal);
    } finally {
      stop();
    }
  });
}

/** A line that names the server, if that is one of several that share their locks. */
export function serverLine({ server }: Client): string {
  return server === undefined ? '' : `Served by ${printable(server)}\n`;
}

/** Where the output goes: as wide as the terminal, with its colours. */
export function paperOf({ isTerminal, columns, env }: VerbContext): Paper {
  return { width: isTerminal ? columns : undefined, paint: paintFor(isTerminal, env) };
}

/** One line of `--json`. */
export function jsonLine(value: object): string {
  return `${printableJson(JSON.stringify(value))}\n`;
}

/** What is wrong if there are more than `most` operands, as a sentence without its full stop. */
export function tooManyOperands({ operands }: Arguments, most: number): string | undefined {
  const extra = operands[most];
  return extra === undefined ? undefined : `unexpected argument "${extra}"`;
}

/** The only operand, a path, or the root without one; or what is wrong, as for `tooManyOperands`. */
export function pathOperand(given: Arguments): Path | string {
  const path = parsePath(given.operands[0] ?? ROOT_TEXT);
  if (typeof path === 'string') return `the path ${path}`;
  return tooManyOperands(given, 1) ?? path;
}

/** What is wrong with the id of a lock or a session, as a sentence without its full stop. */
export function idFault(id: string): string | undefined {
  return isId(id) ? undefined : `"${id}" is not an id: ids are numbers, as ls shows them`;
}
