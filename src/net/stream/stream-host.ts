/** The part of a server that all its connections share, whatever their protocol. */
import type { Clock } from '../../runtime/clock.ts';
import { BufferBudget } from './buffer-budget.ts';
import { type FlushedTogether, FlushQueue, type OutputGate } from './output-buffer.ts';
import { TurnQueue } from './turn-queue.ts';

export interface StreamHost {
  readonly clock: Clock;
  readonly flushQueue: FlushQueue;
  readonly turnQueue: TurnQueue;
  readonly budget: BufferBudget;
  /** Whether to read sockets into one shared buffer where Node allows it: see shared-read.ts. */
  readonly sharedReads: boolean;
  /** Undefined without a store. */
  readonly gate: OutputGate | undefined;
  /** Called for each chunk of input. */
  inputArrived(): void;
}

interface StreamSettings {
  readonly sharedReads?: boolean;
  readonly gate?: OutputGate | undefined;
  readonly flushedTogether?: FlushedTogether;
  readonly inputArrived?: () => void;
}

/** @param maxBufferBytes bytes that all buffers of the server together may have */
export function makeStreamHost(
  clock: Clock,
  maxBufferBytes: number,
  { sharedReads = true, gate, flushedTogether, inputArrived = () => {} }: StreamSettings = {},
): StreamHost {
  return {
    clock,
    flushQueue: new FlushQueue(clock, flushedTogether),
    turnQueue: new TurnQueue(clock),
    budget: new BufferBudget(maxBufferBytes),
    sharedReads,
    gate,
    inputArrived,
  };
}
