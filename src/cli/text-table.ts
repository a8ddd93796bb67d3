/** Aligned tables. */

import { displayWidth, truncated } from '../operators/printable.ts';
import { type Paint, PLAIN, type Style } from './paint.ts';

export interface Column {
  readonly heading: string;
  readonly align?: 'right';
  /** Where the terminal is narrow, its cells may be cut to that many columns. */
  readonly minWidth?: number;
  /** Where even that is too wide, it is left out. */
  readonly isOptional?: boolean;
}

export interface Cell {
  /** Printable. */
  readonly text: string;
  readonly style?: Style | undefined;
}

export interface Paper {
  /** Columns of the terminal; undefined where nothing needs to fit. */
  readonly width?: number | undefined;
  readonly paint?: Paint;
}

const GAP = '  ';

/** Longer cells stand out: aligned with a path of 100 kB, each row of a long table would have it. */
const MAX_ALIGNED = 200;

/**
 * The lines of a table with its headings, each ended by a line feed. Columns in which every cell is
 * empty are left out.
 *
 * @param rows have one cell per column
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  { width, paint = PLAIN }: Paper = {},
): string {
  const widths = columns.map(({ heading }, i) => {
    const cells = rows.map((row) => displayWidth(row[i]?.text ?? ''));
    const widest = cells.reduce((most, size) => Math.max(most, size), 0);
    return widest === 0 ? 0 : Math.max(widest, displayWidth(heading));
  });
  if (width !== undefined) fitInto(columns, widths, width);
  const headings = columns.map(({ heading }): Cell => ({ text: heading, style: 'bold' }));
  return [headings, ...rows].map((row) => `${renderRow(columns, widths, row, paint)}\n`).join('');
}

/** Rows of one table in a long list, whose beginning is then shown at once. */
const CHUNK = 1000;

/**
 * Writes a list as tables of at most `CHUNK` rows.
 *
 * @param table renders some items, which follow those before
 * @returns the number of items
 */
export async function writeTables<T>(
  items: AsyncIterable<T>,
  table: (chunk: readonly T[]) => string,
  out: (text: string) => void,
): Promise<number> {
  let count = 0;
  let chunk: T[] = [];
  for await (const item of items) {
    count++;
    chunk.push(item);
    if (chunk.length < CHUNK) continue;
    out(table(chunk));
    chunk = [];
  }
  if (chunk.length > 0) out(table(chunk));
  return count;
}

function renderRow(
  columns: readonly Column[],
  widths: readonly number[],
  row: readonly Cell[],
  paint: Paint,
): string {
  const last = widths.findLastIndex((size) => size > 0);
  let line = '';
  for (const [i, column] of columns.entries()) {
    const size = widths[i] ?? 0;
    if (size === 0) continue;
    const { text = '', style } = row[i] ?? {};
    const shown = truncated(text, size);
    const blanks = ' '.repeat(Math.max(0, Math.min(size, MAX_ALIGNED) - displayWidth(shown)));
    const painted = paint(style, shown);
    if (column.align === 'right') line += blanks + painted;
    else line += i === last ? painted : painted + blanks;
    if (i !== last) line += GAP;
  }
  // Not of the text, which may end in blanks that matter: of empty cells at the end.
  return row[last]?.text === '' ? line.trimEnd() : line;
}

/** Narrows columns until the table fits, or else leaves out optional ones, the last one first. */
function fitInto(columns: readonly Column[], widths: number[], width: number): void {
  const natural = [...widths];
  for (let i = columns.length; i >= 0; i--) {
    if (i < columns.length && columns[i]?.isOptional !== true) continue;
    if (i < columns.length) natural[i] = 0;
    widths.splice(0, widths.length, ...natural);
    shrink(columns, widths, width);
    if (tableWidth(widths) <= width) return;
  }
}

/** Narrows the widest of the columns that may be cut until the table fits, if it can. */
function shrink(columns: readonly Column[], widths: number[], width: number): void {
  while (tableWidth(widths) > width) {
    let widest = -1;
    for (const [i, { minWidth = Number.POSITIVE_INFINITY }] of columns.entries()) {
      const size = widths[i] ?? 0;
      if (size > minWidth && size > (widths[widest] ?? 0)) widest = i;
    }
    const size = widths[widest];
    if (size === undefined) return;
    widths[widest] = size - 1;
  }
}

function tableWidth(widths: readonly number[]): number {
  const shown = widths.filter((size) => size > 0);
  return shown.reduce((sum, size) => sum + size, GAP.length * (shown.length - 1));
}
