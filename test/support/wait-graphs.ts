/**
 * Graphs of owners that wait for each other: the usual ones, and the worst that we know. A test
 * counts the steps that a search for a deadlock takes in them, and the bench measures its time.
 */
import type { Lock } from '../../src/table/lock.ts';
import { LockTable } from '../../src/table/lock-table.ts';
import type { Resource } from '../../src/table/resource.ts';
import { limited, read, write } from './resources.ts';

interface Owner {
  readonly locks: Set<Lock<Owner | undefined>>;
  readonly waits: Set<Lock<Owner | undefined>>;
}

const OWNERS = {
  ownerOf: (lock: Lock<Owner | undefined>) => lock.context,
  locksOf: (owner: Owner) => owner.locks,
  waitsOf: (owner: Owner) => owner.waits,
};

/** A table with locks of owners by name. */
export class OwnerCrowd {
  readonly table = new LockTable<Owner | undefined>();
  readonly #owners = new Map<string, Owner>();

  owner(name: string): Owner {
    const owner = this.#owners.get(name) ?? { locks: new Set(), waits: new Set() };
    this.#owners.set(name, owner);
    return owner;
  }

  enter(name: string | undefined, ...resources: Resource[]): Lock<Owner | undefined> {
    const owner = name === undefined ? undefined : this.owner(name);
    const lock = this.table.lock(resources, owner);
    owner?.locks.add(lock);
    if (lock.state === 'enqueued') owner?.waits.add(lock);
    return lock;
  }

  /** The length of the cycle that `lock`, the newest, closes; 0 if the search finds none. */
  search(lock: Lock<Owner | undefined>): number {
    return this.table.findDeadlock(lock, OWNERS)?.length ?? 0;
  }
}

export interface WaitGraph {
  readonly sentence: string;
  /** For usual graphs: the most steps that a search may take, whatever the number of owners. */
  readonly mostSteps: number;
  /** The length of the cycle that the search finds. */
  readonly length: number;
  /** Makes a graph of about `count` owners; the search is that of the newest lock. */
  build(crowd: OwnerCrowd, count: number): Lock<Owner | undefined>;
}

function graph(
  sentence: string,
  mostSteps: number,
  others: (crowd: OwnerCrowd, count: number) => void,
  ask: (crowd: OwnerCrowd, count: number) => Lock<Owner | undefined>,
  length = 0,
): WaitGraph {
  const build = (crowd: OwnerCrowd, count: number) => {
    others(crowd, count);
    return ask(crowd, count);
  };
  return { sentence, mostSteps, length, build };
}

/** The steps to see that nothing waits for another lock of the requester. */
const FREE = 100;
/** The steps of a round or two with small budgets. */
const LITTLE = 3000;

function each(count: number, act: (i: number) => void): void {
  for (let i = 0; i < count; i++) act(i);
}

export const USUAL_GRAPHS: readonly WaitGraph[] = [
  graph(
    'a queue of owners that hold nothing else',
    FREE,
    (crowd, count) => each(count, (i) => crowd.enter(`o${i}`, write('hot'))),
    (crowd) => crowd.enter('last', write('hot')),
  ),
  graph(
    'a semaphore of owners that hold nothing else',
    FREE,
    (crowd, count) => each(count, (i) => crowd.enter(`o${i}`, limited(4, 'gpu'))),
    (crowd) => crowd.enter('last', limited(4, 'gpu')),
  ),
  graph(
    'a queue of owners that each hold what nothing waits for',
    FREE,
    (crowd, count) =>
      each(count, (i) => {
        crowd.enter(`o${i}`, write('own', `${i}`));
        crowd.enter(`o${i}`, write('hot'));
      }),
    (crowd) => {
      crowd.enter('last', write('own', 'last'));
      return crowd.enter('last', write('hot'));
    },
  ),
  graph(
    'a queue of owners that each hold what one waits for',
    FREE * 2,
    (crowd, count) =>
      each(count, (i) => {
        crowd.enter(`o${i}`, write('own', `${i}`));
        crowd.enter(`p${i}`, write('own', `${i}`));
        crowd.enter(`o${i}`, write('hot'));
      }),
    (crowd) => {
      crowd.enter('last', write('own', 'last'));
      crowd.enter('other', write('own', 'last'));
      return crowd.enter('last', write('hot'));
    },
  ),
  graph(
    'a semaphore of owners that each hold what one waits for',
    FREE * 2,
    (crowd, count) =>
      each(count, (i) => {
        crowd.enter(`o${i}`, write('own', `${i}`));
        crowd.enter(`p${i}`, write('own', `${i}`));
        crowd.enter(`o${i}`, limited(4, 'gpu'));
      }),
    (crowd) => {
      crowd.enter('last', write('own', 'last'));
      crowd.enter('other', write('own', 'last'));
      return crowd.enter('last', limited(4, 'gpu'));
    },
  ),
  graph(
    'a chain that grows where nothing waits for the asker',
    FREE,
    (crowd, count) => {
      each(count, (i) => crowd.enter(`o${i}`, write(`${i}`)));
      for (let i = count - 2; i > 0; i--) crowd.enter(`o${i}`, write(`${i + 1}`));
    },
    (crowd) => crowd.enter('o0', write('1')),
  ),
  graph(
    'a chain that grows at the end that can move',
    LITTLE,
    (crowd, count) => {
      each(count, (i) => crowd.enter(`o${i}`, write(`${i}`)));
      each(count - 2, (i) => crowd.enter(`o${i}`, write(`${i + 1}`)));
    },
    (crowd, count) => crowd.enter(`o${count - 2}`, write(`${count - 1}`)),
  ),
  graph(
    'the first of a queue that waits for one that holds nothing else',
    LITTLE,
    (crowd, count) => {
      crowd.enter('first', write('hot'));
      each(count, (i) => crowd.enter(`o${i}`, write('hot')));
      crowd.enter('other', write('x'));
    },
    (crowd) => crowd.enter('first', write('x')),
  ),
  graph(
    'the first of a queue that waits for one in the middle of it',
    LITTLE,
    (crowd, count) => {
      crowd.enter('first', write('hot'));
      each(count, (i) => {
        crowd.enter(`o${i}`, write('own', `${i}`));
        crowd.enter(`o${i}`, write('hot'));
      });
    },
    (crowd, count) => crowd.enter('first', write('own', `${count / 2}`)),
    2,
  ),
  graph(
    'one that joins a queue the first of which waits for it',
    LITTLE,
    (crowd, count) => {
      crowd.enter('first', write('hot'));
      crowd.enter('last', write('x'));
      each(count, (i) => crowd.enter(`o${i}`, write('hot')));
      crowd.enter('first', write('x'));
    },
    (crowd) => crowd.enter('last', write('hot')),
    2,
  ),
];

const DEEP = Array.from({ length: 99 }, (_, i) => `s${i}`);
/** `count` paths of 100 segments without a common prefix. */
const deepPaths = (count: number) =>
  Array.from({ length: count }, (_, i) => write(`r${i}`, ...DEEP));

function hostile(
  sentence: string,
  build: (crowd: OwnerCrowd) => Lock<Owner | undefined>,
): WaitGraph {
  return { sentence, mostSteps: MOST_STEPS, length: 0, build };
}

/**
 * The budget of src/table/deadlock.ts is 16,384 steps for each of three parts. Two of these first
 * take a third of that in smaller rounds. One step of the budget is about six of the steps counted
 * here.
 */
const MOST_STEPS = 500_000;

export const HOSTILE_GRAPHS: readonly WaitGraph[] = [
  hostile('a circle of 10,000 owners', (crowd) => {
    each(10_000, (i) => crowd.enter(`o${i}`, write(`${i}`)));
    each(9999, (i) => crowd.enter(`o${i}`, write(`${i + 1}`)));
    return crowd.enter('o9999', write('0'));
  }),
  hostile('a lock of 1,000 x 100 segments between the asker and 3,000 owners', (crowd) => {
    crowd.enter('asker', write('x'));
    crowd.enter('asker', write('y'));
    each(3000, (i) => crowd.enter(`o${i}`, write(`k${i}`)));
    each(3000, (i) => crowd.enter(`o${i}`, write('x')));
    crowd.enter('free', write('r499', ...DEEP));
    crowd.enter('big', write('z'));
    crowd.enter(
      'big',
      ...deepPaths(1000),
      ...Array.from({ length: 3000 }, (_, i) => write(`k${i}`)),
    );
    crowd.enter('big', write('y'));
    return crowd.enter('asker', write('z'));
  }),
  hostile(
    'an asker with a thousand deep locks, of which nothing waits, behind a long queue',
    (crowd) => {
      each(10_000, (i) => {
        crowd.enter(`o${i}`, write(`own${i}`));
        crowd.enter(`o${i}`, write('hot'));
      });
      for (const resource of deepPaths(1000)) crowd.enter('asker', resource);
      return crowd.enter('asker', write('hot'));
    },
  ),
  hostile('10,000 owners that each wait for ten paths', (crowd) => {
    const all = Array.from({ length: 10 }, (_, i) => write(`${i}`));
    each(10, (i) => crowd.enter(`h${i}`, write(`${i}`)));
    each(10_000, (i) => crowd.enter(`o${i}`, ...all));
    return crowd.enter('h0', write('1'));
  }),
  hostile('10,000 seats of a semaphore all but one of which wait for one in its line', (crowd) => {
    each(10_000, (i) => crowd.enter(`s${i}`, limited(10_000, 'gpu')));
    crowd.enter('c', write('x'));
    crowd.enter('c', limited(10_000, 'gpu'));
    each(9998, (i) => crowd.enter(`s${i}`, write('x')));
    return crowd.enter('s9998', write('x'));
  }),
  hostile('a queue of 10,000 locks without an owner before and behind the asker', (crowd) => {
    crowd.enter('asker', write('x'));
    each(10_000, () => crowd.enter(undefined, write('x')));
    each(10_000, () => crowd.enter(undefined, read('y')));
    return crowd.enter('asker', write('y'));
  }),
  hostile('an owner with 10,000 waits, each behind the same 1,000', (crowd) => {
    crowd.enter('asker', write('x'));
    each(1000, (i) => crowd.enter(`o${i}`, write('hot')));
    each(1000, (i) => crowd.enter(`o${i}`, write('x')));
    each(10_000, () => crowd.enter('many', write('hot')));
    crowd.enter('many', write('x'));
    crowd.enter('many', write('q'));
    return crowd.enter('asker', write('q'));
  }),
];
