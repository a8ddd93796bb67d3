/** The prompt on a terminal: news is written above the line that is being typed. */
import {
  clearScreenDown,
  createInterface,
  cursorTo,
  type Interface,
  moveCursor,
} from 'node:readline';
import { HISTORY_LINES } from './history.ts';

export interface PromptEvents {
  line(text: string): void;
  /** Ctrl-C on an empty line. */
  interrupted(): void;
  /** Ctrl-D, or the terminal is gone. */
  closed(): void;
  complete(line: string): [string[], string];
}

export class Prompt {
  readonly #output: NodeJS.WritableStream;
  readonly #readline: Interface;
  #isClosed = false;

  /** @param history the lines of earlier shells, newest first */
  constructor(
    input: NodeJS.ReadableStream,
    output: NodeJS.WritableStream,
    history: string[],
    events: PromptEvents,
  ) {
    this.#output = output;
    this.#readline = createInterface({
      ...{ input, output, terminal: true, history, historySize: HISTORY_LINES },
      removeHistoryDuplicates: true,
      completer: (line: string) => events.complete(line),
    });
    this.#readline.on('line', (text) => {
      events.line(text);
      this.#show();
    });
    this.#readline.on('SIGINT', () => {
      const isEmpty = this.#readline.line === '';
      this.#dropLine();
      if (isEmpty) events.interrupted();
      this.#show();
    });
    // After Ctrl-Z and `fg`: readline has paused its input.
    this.#readline.on('SIGCONT', () => this.#readline.prompt(true));
    this.#readline.on('close', () => {
      if (this.#isClosed) return;
      this.#isClosed = true;
      output.write('\n');
      events.closed();
    });
  }

  /** What stands before the line. */
  set text(text: string) {
    this.#readline.setPrompt(text);
    this.#show();
  }

  /** Writes whole lines above the one that is being typed. */
  out(text: string): void {
    if (this.#isClosed) {
      this.#output.write(text);
      return;
    }
    // The line may take several rows of the terminal.
    moveCursor(this.#output, 0, -this.#readline.getCursorPos().rows);
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
    this.#output.write(text);
    this.#readline.prompt(true);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
    this.#readline.close();
  }

  /** Shows the line again, with the cursor where it is. */
  #show(): void {
    if (!this.#isClosed) this.out('');
  }

  #dropLine(): void {
    this.#output.write('^C\n');
    this.#readline.write(null, { ctrl: true, name: 'e' });
    this.#readline.write(null, { ctrl: true, name: 'u' });
  }
}
