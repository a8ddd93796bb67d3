/** Results as tables for people. */
import type { Answer, CellResult } from './run-cell.ts';
import type { Spread } from './statistics.ts';

/** Heads of the columns, and how many digits behind the point. */
const COLUMNS: Readonly<Record<string, readonly [head: string, digits: number]>> = {
  perSecond: ['cycles/s', 0],
  p50Us: ['p50 us', 1],
  p99Us: ['p99 us', 1],
  p999Us: ['p99.9 us', 1],
  serverUsPerCycle: ['server CPU us/cycle', 2],
  generatorUsPerCycle: ['generator CPU us/cycle', 2],
  serverBusy: ['server busy', 2],
  serverKernel: ['of that in the kernel', 2],
  generatorBusy: ['generator busy', 2],
  mostToLeast: ['most/least', 3],
  othersDone: ['writer cycles', 0],
  handoverUs: ['handover us', 1],
  joinUs: ['join us', 1],
  bytesEach: ['bytes each', 0],
  heapEach: ['heap bytes each', 0],
  rssEach: ['RSS bytes each', 0],
  startMs: ['ms', 1],
  recoveryMs: ['recovery ms', 0],
  rewrites: ['rewrites', 0],
  rewriteStallMs: ['longest stall in a rewrite ms', 1],
  otherStallMs: ['otherwise', 1],
  fileToAlive: ['most bytes / bytes alive', 2],
};

export function formatCell({
  name,
  work,
  shown,
  contenders,
  answers,
  skipped,
}: CellResult): string {
  const columns = shown.filter((figure) =>
    contenders.some(({ figures }) => isShown(figures[figure])),
  );
  const rows = contenders.map((contender) => [
    contender.name,
    ...columns.map((figure) => formatFigure(figure, contender.figures[figure])),
  ]);
  const heads = columns.map((figure) => COLUMNS[figure]?.[0] ?? figure);
  const lines = [`${name}: ${work}`, ...table([['', ...heads], ...rows])];
  for (const contender of contenders) {
    if (contender.isGeneratorBound) {
      lines.push(`  ! ${contender.name}: the generator is the bottleneck; see the CPU per cycle`);
    }
  }
  for (const [contender, why] of Object.entries(skipped)) {
    lines.push(`  - ${contender} skipped: ${why}`);
  }
  return [...lines, ...answers.map((answer) => `  = ${formatAnswer(answer)}`)].join('\n');
}

export function formatAnswer({ of, against, relation, value, atLeast, atMost, isMet }: Answer) {
  const what = against === undefined ? '' : relation === 'difference' ? ' beyond ' : ' / ';
  const other = against === undefined ? '' : `${what}${against.contender}`;
  const digits = relation === 'difference' || value.median >= 100 ? 0 : 3;
  const bar =
    isMet === undefined
      ? ''
      : ` ${isMet ? 'MET' : 'NOT MET'}: ${atLeast === undefined ? 'at most' : 'at least'} ${atLeast ?? atMost}`;
  const figure = COLUMNS[of.name]?.[0] ?? of.name;
  return `${figure}, ${of.contender}${other}: ${formatSpread(value, digits)}${bar}`;
}

function isShown(spread: Spread | undefined): boolean {
  return spread !== undefined && !Number.isNaN(spread.median);
}

function formatFigure(figure: string, spread: Spread | undefined): string {
  if (spread === undefined || !isShown(spread)) return '';
  return formatSpread(spread, COLUMNS[figure]?.[1] ?? 0);
}

function formatSpread({ median, min, max }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}-${max.toFixed(digits)})`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) =>
    Math.max(...rows.map((row) => (row[i] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((text, i) =>
        i === 0 ? `  ${text.padEnd(widths[i] ?? 0)}` : text.padStart(widths[i] ?? 0),
      )
      .join('   '),
  );
}
