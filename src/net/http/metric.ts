/** What a metric is, and the state of a server from which all of them are read. */
import type { OwnershipSnapshot } from '../../cluster/ownership.ts';
import type { Histogram } from '../../runtime/histogram.ts';
import type { ProcessFigures } from '../../runtime/process-figures.ts';
import type { LoopLag } from '../../runtime/stall-meter.ts';
import type { Counters } from '../../session/counters.ts';
import type { Statistics } from '../../session/statistics.ts';

/** The state of a server when the page is requested. */
export interface MetricsSnapshot {
  readonly counters: Counters;
  /** Open connections by protocol; `other` is HTTP, and those that have sent nothing yet. */
  readonly connections: Readonly<Record<'lines' | 'websocket' | 'other', number>>;
  /** Connections accepted since the start. */
  readonly connectionsTotal: number;
  /** Connections since the start that spoke the protocol. */
  readonly clientsTotal: Readonly<Record<'lines' | 'websocket', number>>;
  readonly statistics: Statistics;
  readonly isDraining: boolean;
  readonly process: ProcessFigures;
  readonly stalls: number;
  /** Undefined if it is not measured. */
  readonly loopLag: LoopLag | undefined;
  /** Undefined without a store. */
  readonly store: StoreSnapshot | undefined;
  /** Undefined unless several servers share the store. */
  readonly ownership: OwnershipSnapshot | undefined;
}

/** The state of a server's store. */
export interface StoreSnapshot {
  readonly commits: Histogram;
  readonly records: number;
  /** Of the records, without what the store adds. */
  readonly bytesWritten: number;
  readonly bytes: number;
  readonly heldBackBytes: number;
  readonly recovered: Readonly<Record<'sessions' | 'locks', number>>;
}

/** A row of the table. */
export type Metric = {
  readonly name: string;
  /** One line of text, without backslashes and quotes. */
  readonly help: string;
} & (
  | {
      readonly type: 'gauge' | 'counter';
      /** Undefined if the server has no such thing: the metric is absent. */
      readonly value: (snapshot: MetricsSnapshot) => number | undefined;
    }
  | {
      readonly type: 'gauge' | 'counter';
      readonly label: string;
      /** A number for each value of the label. */
      readonly values: (snapshot: MetricsSnapshot) => Readonly<Record<string, number>> | undefined;
    }
  | {
      /** Always 1. */
      readonly type: 'gauge';
      readonly labels: Readonly<Record<string, string>>;
    }
  | {
      readonly type: 'histogram';
      readonly histogram: (snapshot: MetricsSnapshot) => Histogram | undefined;
    }
);
