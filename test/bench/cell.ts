/**
 * What is measured: a cell is one piece of work, done by several contenders in turn, and what is
 * asked of their figures.
 */
import type { BesideTask, Task } from './generator.ts';
import type { Figures } from './sample.ts';
import type { ServerSpec } from './servers.ts';

/** Measures one contender, again and again. */
export interface Sampler {
  sample(ms: number): Promise<Figures>;
  /** Ends what it runs; resolves with a CPU profile, if one was to be taken. */
  close(): Promise<string | undefined>;
}

export interface Contender {
  readonly name: string;
  readonly server: ServerSpec;
  /** What the generator does; or the sampler, where something else than a load is measured. */
  readonly work: Task | ((server: ServerSpec) => Promise<Sampler>);
  /** What others hold or watch meanwhile. */
  readonly beside?: BesideTask;
}

export interface Figure {
  readonly contender: string;
  readonly name: string;
}

/** One line of the result: a figure, or one in relation to another of the same round. */
export interface Question {
  readonly of: Figure;
  readonly against?: Figure;
  /** Default `ratio`, where there is something to relate to. */
  readonly relation?: 'ratio' | 'difference';
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Cell {
  readonly name: string;
  /** In words, for people. */
  readonly work: string;
  /** In the order in which they take turns within a round. */
  readonly contenders: readonly Contender[];
  readonly questions: readonly Question[];
  /** The figures worth showing. */
  readonly shown: readonly string[];
  /** More rounds add nothing where a sample hardly varies. */
  readonly maxRounds?: number;
}
