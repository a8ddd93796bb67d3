/**
 * Runs a cell: starts a server and a generator for each contender, lets them take turns for so many
 * rounds, and answers its questions. What comes before them is not counted: the engines learn the code.
 */
import type { Cell, Contender, Figure, Question, Sampler } from './cell.ts';
import { beside, Child } from './child.ts';
import { cpuTimeOf, loadBetween } from './cpu-time.ts';
import type { Command, Task } from './generator.ts';
import { missingLibrary } from './library-load.ts';
import type { Figures } from './sample.ts';
import { missing, startServer } from './servers.ts';
import { median, type Spread, spreadOf } from './statistics.ts';

export interface RunOptions {
  readonly rounds: number;
  /** Milliseconds of one sample. */
  readonly sampleMs: number;
  /** Cycles after which a contender has learned; but it has ten samples for that at most. */
  readonly learningCycles: number;
  readonly profile: boolean;
}

export interface ContenderResult {
  readonly name: string;
  readonly figures: Readonly<Record<string, Spread>>;
  readonly rounds: readonly Figures[];
  /** The generator had no rest while the server had: the server can do more than this. */
  readonly isGeneratorBound: boolean;
  readonly profile: string | undefined;
}

export interface Answer extends Question {
  readonly value: Spread;
  readonly isMet: boolean | undefined;
}

export interface CellResult {
  readonly name: string;
  readonly work: string;
  readonly shown: readonly string[];
  readonly contenders: readonly ContenderResult[];
  readonly answers: readonly Answer[];
  /** Contenders that could not take part, and why. */
  readonly skipped: Readonly<Record<string, string>>;
}

const NO_REST = 0.95;
const RESTED = 0.9;

export async function runCell(cell: Cell, options: RunOptions): Promise<CellResult> {
  const skipped: Record<string, string> = {};
  const running: { contender: Contender; sampler: Sampler; rounds: Figures[] }[] = [];
  const profiles: (string | undefined)[] = [];
  try {
    for (const contender of cell.contenders) {
      const why = (await missing(contender.server)) ?? (await missingFor(contender.work));
      if (why !== undefined) skipped[contender.name] = why;
      else running.push({ contender, sampler: await open(contender, options), rounds: [] });
    }
    const rounds = Math.min(options.rounds, cell.maxRounds ?? options.rounds);
    for (const { sampler } of running) await learn(sampler, options);
    for (let round = 0; round < rounds; round++) {
      for (const { sampler, rounds } of running) {
        rounds.push(await sampler.sample(options.sampleMs));
      }
    }
  } finally {
    for (const { sampler } of running) profiles.push(await sampler.close());
  }
  const contenders = running.map(({ contender, rounds }, i) =>
    contenderResult(contender, rounds, profiles[i]),
  );
  const { name, work, shown } = cell;
  const answers = cell.questions
    .filter(
      ({ of, against }) => !(of.contender in skipped || (against?.contender ?? '') in skipped),
    )
    .map((question) => answer(question, contenders));
  return { name, work, shown, contenders, answers, skipped };
}

const MAX_LEARNING = 10;

/** A server that waits for the disk does so few cycles in a sample that its code is still cold. */
async function learn(sampler: Sampler, { sampleMs, learningCycles }: RunOptions): Promise<void> {
  let cycles = 0;
  for (let i = 0; i < MAX_LEARNING && cycles < learningCycles; i++) {
    const { total = Number.POSITIVE_INFINITY } = await sampler.sample(sampleMs);
    cycles += total;
  }
}

async function missingFor(work: Contender['work']): Promise<string | undefined> {
  const isLibrary = typeof work !== 'function' && work.kind === 'library';
  return isLibrary ? missingLibrary(work.library) : undefined;
}

async function open({ server, work, beside }: Contender, options: RunOptions) {
  if (typeof work === 'function') return work(server);
  return openLoad(server, work, beside, options.profile);
}

async function openLoad(
  spec: Contender['server'],
  task: Task,
  besideTask: Contender['beside'],
  isProfiled: boolean,
): Promise<Sampler> {
  const server = await startServer(spec, isProfiled);
  const generator = new Child('generator', [process.execPath, beside('generator')]);
  const tell = async (command: Command) => (await generator.ask(command)) as Figures;
  const { port } = server;
  if (besideTask !== undefined) await tell({ open: besideTask, port });
  await tell({ open: task, port });
  // Warm code, and what was held beforehand, are not part of the profile: it begins with the second
  // sample, the first that counts.
  let samples = 0;
  return {
    async sample(sampleMs) {
      if (isProfiled && ++samples === 2) await server.ask('profile');
      const pids = [server.pid, generator.pid] as const;
      const before = pids.map(cpuTimeOf);
      const figures = await tell({ sampleMs });
      const [serverLoad, generatorLoad] = pids.map((pid, i) =>
        loadBetween(before[i], cpuTimeOf(pid)),
      );
      return {
        ...figures,
        serverUsPerCycle: ((serverLoad?.ranMs ?? Number.NaN) * 1000) / (figures.total ?? 0),
        generatorUsPerCycle: ((generatorLoad?.ranMs ?? Number.NaN) * 1000) / (figures.total ?? 0),
        serverBusy: serverLoad?.busy ?? Number.NaN,
        serverKernel: serverLoad?.kernelShare ?? Number.NaN,
        generatorBusy: generatorLoad?.busy ?? Number.NaN,
      };
    },
    async close() {
      const profile = samples > 1 ? await server.ask('end profile') : undefined;
      await generator.stop();
      await server.stop();
      return (profile as { readonly profile: string } | undefined)?.profile;
    },
  };
}

function contenderResult(
  { name, work }: Contender,
  rounds: readonly Figures[],
  profile: string | undefined,
): ContenderResult {
  const names = Object.keys(rounds[0] ?? {});
  const valuesOf = (figure: string): number[] => rounds.map((round) => round[figure] ?? Number.NaN);
  // A pace is kept by looking at the clock all the time.
  const isPaced = typeof work !== 'function' && work.kind === 'paced';
  return {
    name,
    figures: Object.fromEntries(names.map((figure) => [figure, spreadOf(valuesOf(figure))])),
    rounds,
    isGeneratorBound:
      !isPaced &&
      median(valuesOf('generatorBusy')) >= NO_REST &&
      median(valuesOf('serverBusy')) < RESTED,
    profile,
  };
}

/** Answers a question round by round; the median decides. */
export function answer(question: Question, contenders: readonly ContenderResult[]): Answer {
  const valuesOf = ({ contender, name }: Figure): number[] =>
    contenders
      .find((result) => result.name === contender)
      ?.rounds.map((round) => round[name] ?? Number.NaN) ?? [];
  const { of, against, relation = 'ratio', atLeast, atMost } = question;
  const others = against === undefined ? undefined : valuesOf(against);
  const values = valuesOf(of).map((value, round) => {
    if (others === undefined) return value;
    const other = others[round] ?? Number.NaN;
    return relation === 'ratio' ? value / other : value - other;
  });
  const value = spreadOf(values);
  const hasBar = atLeast !== undefined || atMost !== undefined;
  const isMet = value.median >= (atLeast ?? -Infinity) && value.median <= (atMost ?? Infinity);
  return { ...question, value, isMet: hasBar ? isMet : undefined };
}
