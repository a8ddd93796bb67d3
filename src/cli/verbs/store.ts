/** `locktopus store check`: what a data directory holds, or why a server can't start with it. */

import { printable } from '../../operators/printable.ts';
import { checkDirectory, type DirectoryReport, reportText } from '../../store/check.ts';
import { StoreError } from '../../store/store.ts';
import { JSON_OPTION, jsonLine, tooManyOperands } from '../operator.ts';
import { type Verb, VerbExit } from '../verb.ts';

const CHECK = 'check';

export const STORE: Verb = {
  usage: 'store check [options] PATH',
  examples: [
    ['locktopus store check /var/lib/locktopus', 'what the directory of --data-dir holds'],
    [
      'locktopus store check --json /var/lib/locktopus | jq .locks',
      'the number of locks that a server would find there',
    ],
  ],
  options: [JSON_OPTION],
  notes: `Changes nothing, and may be used while a server runs. Exit code 0 if a server can start with the
directory, also if it is empty; 1 if not: the message says where it is broken and what to do.`,
  async run(given, context) {
    const [what, path] = given.operands;
    if (what !== CHECK || path === undefined || path === '') {
      return `name a data directory to check: locktopus store ${CHECK} PATH`;
    }
    const fault = tooManyOperands(given, 2);
    if (fault !== undefined) return fault;
    const report = await checkDirectory(path).catch(storeError);
    const isWhole = !(report instanceof StoreError || report.log instanceof StoreError);
    if (given.has(JSON_OPTION.flag)) context.out(jsonLine(reportJson(path, report)));
    else if (report instanceof StoreError) context.err(`locktopus: ${line(report.message)}.\n`);
    else context.out(`${reportText(report).split('\n').map(printable).join('\n')}\n`);
    return isWhole ? VerbExit.ok : VerbExit.broken;
  },
};

function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  throw error;
}

/** A message without the full stop that it may have, printable. */
function line(message: string): string {
  return printable(message).replace(/\.$/, '');
}

/** Counts, and no contents: those are the clients'. */
function reportJson(path: string, report: DirectoryReport | StoreError): object {
  if (report instanceof StoreError) return { path, error: report.message };
  const { claimant, log } = report;
  const inUse = claimant === undefined ? {} : { inUse: true, pid: claimant.pid };
  if (log instanceof StoreError) return { path, ...inUse, error: log.message };
  if (log === undefined) return { path, ...inUse, sessions: 0, locks: 0, held: 0, bytes: 0 };
  const { version, bytes, tornBytes, batches, records, position } = log;
  return {
    path,
    ...inUse,
    sessions: log.sessions.length,
    locks: log.locks.length,
    held: log.locks.filter(({ wasHeld }) => wasHeld).length,
    ...{ version, bytes, tornBytes, batches, records, position },
  };
}
