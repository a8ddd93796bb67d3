/** `locktopus shell`: a person talks to a server. */
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import type { LocktopusError } from '../../client/errors.ts';
import { nodeEnvironment } from '../../client/node-environment.ts';
import { DEFAULT_URL, parseUrl } from '../../client/url.ts';
import type { Arguments } from '../arguments.ts';
import {
  CONNECTION_NOTES,
  CONNECTION_OPTIONS,
  type Connection,
  connectionFrom,
  report,
} from '../connection.ts';
import { parseDuration } from '../durations.ts';
import { paperOf, tooManyOperands } from '../operator.ts';
import { complete } from '../shell/commands.ts';
import { appendHistory, historyFile, readHistory } from '../shell/history.ts';
import { Prompt } from '../shell/prompt.ts';
import { RawSession } from '../shell/raw-session.ts';
import { Shell } from '../shell/shell.ts';
import { type Verb, type VerbContext, VerbExit } from '../verb.ts';

/** A line of a script has failed. */
const SOME_FAILED = 1;

export const SHELL: Verb = {
  usage: 'shell [options]',
  examples: [
    ['locktopus shell', 'a prompt; help lists what can be typed: lock w:orders/17 r:prices'],
    ['locktopus shell --namespace shop --raw', 'the same, showing what is sent and received'],
    ["echo 'try w:orders/17' | locktopus shell", 'a script; 0 if all of its lines succeeded'],
  ],
  options: [
    ...CONNECTION_OPTIONS,
    { flag: 'raw', values: [], help: 'show every message that is sent and received' },
    { flag: 'label', values: ['TEXT'], help: 'names the session for operators [shell]' },
    {
      flag: 'abandon-timeout',
      values: ['TIME'],
      help: "how long a lost connection's locks are kept [the server's default]",
    },
  ],
  notes: `${CONNECTION_NOTES}

When the connection breaks, the shell reconnects and resumes its session. Leaving it releases all
of its locks. Lines typed at a prompt are kept in $XDG_STATE_HOME/locktopus/shell_history.

Without a terminal, each line is done before the next one is read: a lock is acquired, or its wait
is over. The exit code is 0 if every line succeeded, else ${SOME_FAILED}.`,
  async run(given, context) {
    const connection = connectionFrom(given, context);
    if (typeof connection === 'string') return connection;
    const fault = tooManyOperands(given, 0);
    if (fault !== undefined) return fault;
    const abandonTimeout = given.value('abandon-timeout');
    const abandonTimeoutMs =
      abandonTimeout === undefined ? undefined : parseDuration(abandonTimeout);
    if (typeof abandonTimeoutMs === 'string') return `--abandon-timeout ${abandonTimeoutMs}`;
    const shell = shellFor(given, context, connection, abandonTimeoutMs);
    return typeof shell === 'string' ? shell : shell.run();
  },
};

/** A sentence without its full stop if the URL is a mistake. */
function shellFor(...settings: ConstructorParameters<typeof ShellProgram>): ShellProgram | string {
  try {
    return new ShellProgram(...settings);
  } catch (error) {
    if (error instanceof TypeError) return error.message;
    throw error;
  }
}

class ShellProgram {
  readonly #context: VerbContext;
  readonly #session: RawSession;
  readonly #shell: Shell;
  #prompt: Prompt | undefined;
  /** The exit code, unless something ends the shell early. */
  #code: number = VerbExit.ok;
  #isLeaving = false;
  #hasLeft = (): void => {};
  readonly #left = new Promise<void>((resolve) => {
    this.#hasLeft = resolve;
  });

  constructor(
    given: Arguments,
    context: VerbContext,
    { url, options }: Connection,
    abandonTimeoutMs: number | undefined,
  ) {
    this.#context = context;
    const target = parseUrl(url ?? DEFAULT_URL);
    const environment = nodeEnvironment(target, options);
    this.#shell = new Shell(
      {
        clock: environment.clock,
        paper: () => paperOf(context),
        out: (text) => this.#out(text),
        isReady: () => this.#session.isReady,
        send: (text) => this.#session.send(text),
        leave: (error) => this.#leaveBy(error),
        promptChanged: () => this.#showPrompt(),
      },
      given.has('raw'),
    );
    const { namespace, token } = options;
    const label = given.value('label') ?? 'shell';
    this.#session = new RawSession(
      environment,
      target,
      { namespace, token, label, abandonTimeoutMs },
      this.#shell.narrator,
    );
  }

  async run(): Promise<number> {
    const error = await this.#session.start();
    if (error !== undefined) return report(error, this.#context);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      this.#context.signals.on(signal, () => this.#leave(128 + constants.signals[signal]));
    }
    if (this.#context.isTerminal && process.stdin.isTTY === true) this.#openPrompt();
    else void this.#script();
    await this.#left;
    this.#prompt?.close();
    await this.#session.close();
    process.stdin.destroy();
    return this.#code;
  }

  /** Does what the lines of standard input say, one after the other. */
  async #script(): Promise<void> {
    for await (const line of createInterface({ input: process.stdin })) {
      const isDone = await this.#shell.run(line);
      if (this.#isLeaving) return;
      if (!isDone) this.#code = SOME_FAILED;
    }
    this.#leave(this.#code);
  }

  #leaveBy(error: LocktopusError | undefined): void {
    // Else its message would be written behind the prompt.
    if (error !== undefined) this.#prompt?.close();
    this.#leave(error === undefined ? this.#code : report(error, this.#context));
  }

  #leave(code: number): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.#code = code;
    this.#hasLeft();
  }

  #openPrompt(): void {
    const { stdin, stdout } = process;
    const { narrator } = this.#shell;
    const file = historyFile(this.#context.env);
    this.#prompt = new Prompt(stdin, stdout, readHistory(file), {
      line: (text) => {
        appendHistory(file, text);
        void this.#shell.run(text);
      },
      interrupted: () => {
        if (narrator.locks.all().length === 0) this.#leave(VerbExit.ok);
        else this.#out('bye, or Ctrl-D, releases your locks and leaves\n');
      },
      closed: () => this.#leave(VerbExit.ok),
      complete: (line) => complete(line, narrator.handles),
    });
    this.#showPrompt();
  }

  #showPrompt(): void {
    if (this.#prompt !== undefined) this.#prompt.text = this.#shell.narrator.prompt;
  }

  #out(text: string): void {
    if (this.#prompt === undefined) this.#context.out(text);
    else this.#prompt.out(text);
  }
}
