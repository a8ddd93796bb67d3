/** What a verb of the command line is, and what all of them have in common. */
import { type Arguments, parseArguments, type VerbOption } from './arguments.ts';

/**
 * The exit codes of the verbs, besides those of `serve`; most are those of sysexits.h. `run` has more.
 */
export const VerbExit = {
  ok: 0,
  /** There is no such lock or session. */
  notFound: 1,
  /** A server can't start with the data directory. */
  broken: 1,
  usage: 64,
  unreachable: 69,
  internal: 70,
  notAcquired: 75,
  protocol: 76,
  noPermission: 77,
  lost: 79,
} as const;

/** The signals of this process. */
export interface Signals {
  on(name: NodeJS.Signals, handler: (name: NodeJS.Signals) => void): void;
  /** Without a handler a signal has its usual effect. */
  off(name: NodeJS.Signals, handler: (name: NodeJS.Signals) => void): void;
  /**
   * Sends a signal to this process, without handlers for it: they are removed. Returns if it survives,
   * after it was stopped and continued, say.
   */
  raise(name: NodeJS.Signals): void;
}

/** The surroundings of a verb; a test can bring its own. */
export interface VerbContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Whether a person looks at standard output: it is a terminal. */
  readonly isTerminal: boolean;
  /** The width of that terminal at present. */
  readonly columns?: number | undefined;
  readonly signals: Signals;
}

export interface Verb {
  /** What follows `locktopus`, as in `ls [options] [PATH]`. */
  readonly usage: string;
  /** Commands with what each one does: `--help` begins with them. */
  readonly examples: readonly (readonly [command: string, meaning: string])[];
  readonly options: readonly VerbOption[];
  /** Paragraphs after the options, in lines of at most 100 characters. */
  readonly notes: string;
  /** The first operand begins a command, whose own options are left alone. */
  readonly takesCommand?: boolean;
  /**
   * Does the work. Writes what went wrong to standard error.
   *
   * @returns the exit code; or a sentence without its full stop if the command line is a mistake
   */
  run(given: Arguments, context: VerbContext): Promise<number | string>;
}

const HELP: VerbOption = { flag: 'help', short: 'h', values: [], help: 'show this text' };
const HELP_COLUMN = 30;

/** Runs a verb. Resolves with the exit code. */
export async function runVerb(
  name: string,
  verb: Verb,
  args: readonly string[],
  context: VerbContext,
): Promise<number> {
  const given = parseArguments(args, { ...verb, options: [...verb.options, HELP] });
  if (typeof given !== 'string' && given.has(HELP.flag)) {
    context.out(verbHelp(verb));
    return VerbExit.ok;
  }
  const result = typeof given === 'string' ? given : await verb.run(given, context);
  if (typeof result === 'number') return result;
  const stop = /[.?]$/.test(result) ? '' : '.';
  context.err(`locktopus ${name}: ${result}${stop} See locktopus ${name} --help.\n`);
  return VerbExit.usage;
}

/** The text of `--help`. */
export function verbHelp({ usage, examples, options, notes }: Verb): string {
  const shown = examples.map(([command, meaning]) => `  # ${meaning}\n  ${command}`);
  return `Examples:

${shown.join('\n\n')}

Usage: locktopus ${usage}

${[...options, HELP].map(helpRow).join('\n')}
${notes === '' ? '' : `\n${notes.trim()}\n`}`;
}

function helpRow({ flag, short, values, help }: VerbOption): string {
  const names = `${short === undefined ? '    ' : `-${short}, `}--${flag}`;
  const left = `  ${[names, ...values].join(' ')}`;
  // A long one has a line of its own.
  const gap =
    left.length < HELP_COLUMN ? left.padEnd(HELP_COLUMN) : `${left}\n${' '.repeat(HELP_COLUMN)}`;
  return `${gap}${help}`;
}
