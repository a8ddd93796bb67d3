/** Before and after: to each contender of ours the same with another build of the program. */
import type { Cell, Contender, Question } from './cell.ts';

/** @param program the other build */
export function withBaseline(cell: Cell, program: string): Cell {
  const contenders: Contender[] = [];
  const questions: Question[] = [];
  for (const contender of cell.contenders) {
    contenders.push(contender);
    if (contender.server.kind !== 'ours') continue;
    const before = `${contender.name}, baseline`;
    contenders.push({ ...contender, name: before, server: { ...contender.server, program } });
    for (const name of cell.shown) {
      if (!name.endsWith('Busy')) {
        questions.push({
          of: { contender: contender.name, name },
          against: { contender: before, name },
        });
      }
    }
  }
  return { ...cell, contenders, questions: [...cell.questions, ...questions] };
}
