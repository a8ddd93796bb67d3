/** Locks as text for people: `w:orders/17 r:prices`, held for `3m12s`, by whom, behind which others. */
import type { Blocker, InspectedLock } from '../client/inspect.ts';
import type { Labels } from '../client/lock-fields.ts';
import type { Resource } from '../client/resources.ts';
import { pathText } from './path-text.ts';
import { printable } from './printable.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const UNITS = [
  [DAY_MS, 'd', HOUR_MS, 'h'],
  [HOUR_MS, 'h', MINUTE_MS, 'm'],
  [MINUTE_MS, 'm', SECOND_MS, 's'],
] as const;

/** `450ms`, `12s`, `3m12s`, `5h7m`, `3d4h`: rounded down to two units. */
export function formatAge(ms: number): string {
  for (const [size, unit, partSize, partUnit] of UNITS) {
    if (ms < size) continue;
    const part = Math.floor((ms % size) / partSize);
    return `${Math.floor(ms / size)}${unit}${part === 0 ? '' : `${part}${partUnit}`}`;
  }
  return ms < SECOND_MS ? `${Math.floor(ms)}ms` : `${Math.floor(ms / SECOND_MS)}s`;
}

/** `w:orders/17`; a read with a limit is `r4:reports`. */
export function resourceText(resource: Resource): string {
  const limit = resource.type === 'read' ? (resource.limit ?? '') : '';
  return `${resource.type === 'read' ? 'r' : 'w'}${limit}:${pathText(resource.path)}`;
}

export function resourcesText(resources: readonly Resource[], more: number): string {
  const listed = resources.map(resourceText).join(' ');
  return more === 0 ? listed : `${listed} and ${more} more`;
}

/** `1m2s`, or `1m2s of 5m` if there is a limit. */
export function forText({ forMs, limitMs }: InspectedLock): string {
  return limitMs === undefined ? formatAge(forMs) : `${formatAge(forMs)} of ${formatAge(limitMs)}`;
}

/** The label of a lock and its owner. */
export function labelText({ label, owner }: Labels): string {
  const parts = [label, owner === undefined ? undefined : `owner ${owner}`];
  return parts
    .filter((part) => part !== undefined)
    .map(printable)
    .join(', ');
}

/** The label of the session, or else the client's address. */
export function holderText({ session, client }: InspectedLock): string {
  return printable(session ?? client);
}

/** The locks that a lock waits for, those that arrived first in front. */
export function blockersOf({ waitsFor }: InspectedLock): readonly Blocker[] {
  return waitsFor.toSorted((a, b) => a.id.length - b.id.length || (a.id < b.id ? -1 : 1));
}

/** Where `blocker` is in the way of a waiter: `on orders`, `below orders`. */
export function relationText({ relation, path }: Blocker): string {
  const where = pathText(path);
  switch (relation) {
    case 'same':
      return `on ${where}`;
    case 'above':
      return `above, on ${where}`;
    case 'below':
      return `below ${where}`;
    case 'limit':
      return `in line for the limit of ${where}`;
    default:
      return printable(relation);
  }
}
