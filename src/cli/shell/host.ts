/** The seam between the shell and what it runs in: a terminal, a script, a test. */
import type { ClientClock } from '../../client/environment.ts';
import type { LocktopusError } from '../../client/errors.ts';
import type { Paper } from '../text-table.ts';

/** What a shell needs from outside. */
export interface ShellHost {
  readonly clock: ClientClock;
  /** The width and the colours of the output at present. */
  paper(): Paper;
  /** Writes whole lines. */
  out(text: string): void;
  /** Whether there is a session to send to. */
  isReady(): boolean;
  /** Sends one message. */
  send(text: string): void;
  /** Ends the shell, perhaps because of an error. */
  leave(error?: LocktopusError): void;
  /** The connection has come or gone, and the prompt says so. */
  promptChanged(): void;
}
