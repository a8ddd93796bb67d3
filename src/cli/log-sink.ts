/**
 * The log on its way to whoever reads it. A reader that has stopped reading must not cost the server
 * its memory, nor keep it from ending: past a bound lines are dropped, and how many is told as soon
 * as there is room again.
 */
import type { Writable } from 'node:stream';
import { plural } from '../runtime/text.ts';

/** Bytes that may wait for the reader. */
const MAX_UNREAD_BYTES = 1024 * 1024;

export class LogSink {
  readonly #target: Writable;
  #dropped = 0;

  /** @param target standard output, say; its `error` events are somebody else's */
  constructor(target: Writable) {
    this.#target = target;
  }

  /** @param text whole lines */
  write(text: string): void {
    if (this.#target.writableLength > MAX_UNREAD_BYTES) {
      this.#dropped++;
      return;
    }
    const note = this.#dropped === 0 ? '' : `dropped ${plural(this.#dropped, 'line')} of the log\n`;
    this.#dropped = 0;
    this.#target.write(note + text);
  }

  /** Resolves when everything is read, or when `timeoutMs` milliseconds are over. */
  async flushed(timeoutMs: number): Promise<void> {
    if (this.#target.writableLength === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#target.write('', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
