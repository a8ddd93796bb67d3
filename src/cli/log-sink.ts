/**
 * Writes the log to a stream whose reader may be slow or gone. That must neither use up the
 * server's memory nor keep it from ending: past a bound the sink drops lines, and reports their
 * number once the reader has caught up.
 */
import type { Writable } from 'node:stream';

/** Lines are dropped while more bytes than this are unread. */
const MAX_UNREAD_BYTES = 1024 * 1024;

export class LogSink {
  readonly #target: Writable;
  #dropped = 0;

  /** @param target usually standard output; the caller handles its `error` events */
  constructor(target: Writable) {
    this.#target = target;
  }

  /**
   * @param line a whole line
   * @param droppedLine makes the line that says how many were dropped before it
   */
  write(line: string, droppedLine: (count: number) => string): void {
    if (this.#target.writableLength > MAX_UNREAD_BYTES) {
      this.#dropped++;
      return;
    }
    const note = this.#dropped === 0 ? '' : droppedLine(this.#dropped);
    this.#dropped = 0;
    this.#target.write(note + line);
  }

  /** Resolves when everything is written, or after `timeoutMs` milliseconds. */
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
