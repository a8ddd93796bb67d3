/**
 * Resources as they are typed in the playground: `w orders/17 r prices` or, as on the command line,
 * `w:orders/17 r:prices`. `r4` is a read of which four are admitted at a time. Pure.
 */
import type { Resource } from '../client/resources.ts';
import { printable } from '../operators/printable.ts';
import { parseResource } from '../operators/resource-words.ts';
import { wordsOf } from '../operators/words.ts';

const TYPE = /^(?:w|write|r\d*|read)$/;
const WITH_TYPE = /^(?:w|r\d*):/;

/**
 * The resources, none if nothing is typed; or what is wrong, as a sentence without its full stop.
 */
export function parseTyped(text: string): readonly Resource[] | string {
  const words = wordsOf(text);
  if (typeof words === 'string') return words;
  const resources: Resource[] = [];
  let type: string | undefined;
  let isUsed = true;
  for (const word of words) {
    if (TYPE.test(word) && isUsed) {
      type = word.replace('write', 'w').replace('read', 'r');
      isUsed = false;
      continue;
    }
    const typed = WITH_TYPE.test(word) ? word : type === undefined ? undefined : `${type}:${word}`;
    if (typed === undefined) return `write w before ${printable(word)} to write, or r to read`;
    const resource = parseResource(typed);
    if (typeof resource === 'string') return printable(resource);
    if (resource.type === 'read' && resource.limit === 0) return 'a limit is at least 1: r1, r4';
    resources.push(resource);
    isUsed = true;
  }
  return isUsed ? resources : `name a path after ${type ?? 'it'}; / is all there is`;
}
