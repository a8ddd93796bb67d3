/** What all connections of a server share below their protocols. */
import type { Clock } from '../../runtime/clock.ts';
import { FlushQueue } from './output-buffer.ts';

export interface StreamHost {
  readonly clock: Clock;
  readonly flushQueue: FlushQueue;
  /** Whether sockets are read into one shared buffer where Node allows it: see shared-read.ts. */
  readonly sharedReads: boolean;
}

export function makeStreamHost(clock: Clock, { sharedReads = true } = {}): StreamHost {
  return { clock, flushQueue: new FlushQueue(clock), sharedReads };
}
