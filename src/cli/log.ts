/** The server's log: one line per event, as text for people or as JSON for programs. */

import { printable, printableJson } from '../operators/printable.ts';
import { plural } from '../runtime/text.ts';

export const LOG_FORMATS = ['text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Every event, by its name in JSON, and its level. A test compares them with the documentation. */
export const LOG_EVENTS = {
  started: 'info',
  recovered: 'info',
  owner_waiting: 'info',
  owner_serving: 'info',
  owner_silenced: 'warning',
  owner_lost: 'warning',
  etcd_failed: 'warning',
  configuration: 'warning',
  reloaded: 'info',
  reload_failed: 'warning',
  hang_up_ignored: 'info',
  client_connected: 'info',
  client_disconnected: 'info',
  session_began: 'info',
  session_resumed: 'info',
  session_abandoned: 'info',
  lock_enqueued: 'info',
  lock_acquired: 'info',
  lock_ended: 'info',
  slow_lock: 'warning',
  evicted: 'warning',
  rejected_request: 'warning',
  invalid_token: 'warning',
  tls_handshake_failed: 'warning',
  connection_limit: 'warning',
  accept_failed: 'warning',
  socket_path_lost: 'warning',
  stall: 'warning',
  statistics: 'info',
  stopping: 'info',
  draining: 'info',
  stopped: 'info',
  lines_dropped: 'warning',
} as const;

export type LogEvent = keyof typeof LOG_EVENTS;

/** Words that begin the text of some warnings; in JSON the level says it. */
const WARNING = /^warning: /;

/** @param droppedLine makes the line that says how many were not written */
export type WriteLine = (line: string, droppedLine: (count: number) => string) => void;

export class Log {
  readonly #format: LogFormat;
  readonly #write: WriteLine;

  constructor(format: LogFormat, write: WriteLine) {
    this.#format = format;
    this.#write = write;
  }

  /**
   * @param message for people, in one line
   * @param fields for programs: left out of the text, which says the same in words
   */
  add(event: LogEvent, message: string, fields: object = {}): void {
    this.#write(this.#line(event, message, fields), (count) =>
      this.#line('lines_dropped', `dropped ${plural(count, 'line')} of the log`, { lines: count }),
    );
  }

  #line(event: LogEvent, message: string, fields: object): string {
    const time = new Date().toISOString();
    if (this.#format === 'text') return `${time} ${printable(message)}\n`;
    const entry = { time, level: LOG_EVENTS[event], event, message: message.replace(WARNING, '') };
    return `${printableJson(JSON.stringify({ ...entry, ...fields }))}\n`;
  }
}
