/** What `help` answers: a screenful for a person at a terminal, one JSON object per line. */

/** Rows of something to type and what it does. */
const ROWS: readonly (readonly [message: string, does: string])[] = [
  ['{"action":"hello","namespace":"shop","abandonTimeoutMs":5000}', 'optional, first of all'],
  ['{"action":"lock","resources":[{"type":"write","path":["orders","17"]}]}', 'alone'],
  ['{"action":"lock","resources":[{"type":"read","path":["orders"]}]}', 'shared with reads'],
  ['{"action":"lock","resources":[{"type":"read","path":["gpu"],"limit":4}]}', 'up to 4 at a time'],
  ['{"action":"release"}', 'the lock, held or waited for; add its "id" if there are several'],
  ['{"action":"lock","waitMs":0,"resources":[{"type":"write","path":["a"]}]}', 'now or never'],
  ['{"action":"inspect","path":["orders"]}', 'who holds and who waits; without a path, all'],
  ['{"action":"watch","path":["orders"]}', 'says what happens to locks there; "unwatch" ends it'],
  ['{"action":"evict","id":"1795475605972001"}', 'administrators: takes a lock from its client'],
  ['{"action":"stats"}', 'how many locks, waiters and sessions this namespace has'],
  ['{"action":"ping"}', 'is answered at once'],
  ['{"action":"bye"}', 'releases everything and ends the connection'],
];

const NOTES: readonly string[] = [
  'Type one JSON object per line. Replies carry the action and, if you gave one, the "ref".',
  'A path covers everything below it; [] is the whole namespace. One lock may name many resources.',
  'A lock is "acquired" at once, or "enqueued" and "acquired" when its turn comes.',
];

/** The lines of the answer to `help`, as fields to be put after its action and ref. */
export function helpLines(version: string): object[] {
  return [
    { note: `Locktopus ${version}, a lock server.` },
    ...NOTES.map((note) => ({ note })),
    ...ROWS.map(([message, does]) => ({ example: JSON.parse(message), does })),
    { end: true },
  ];
}
