/** What the page says about a lock, in the words of the command line. Pure. */
import { formatAge, resourcesText } from '../operators/lock-text.ts';
import { printable } from '../operators/printable.ts';
import type { Entry, PageLock } from './model.ts';

/** Milliseconds after which a wait is called slow, and stuck. */
const SLOW_MS = 5000;
const STUCK_MS = 30_000;

export type Heat = 'calm' | 'slow' | 'stuck';

export function heatOf(waitMs: number): Heat {
  if (waitMs >= STUCK_MS) return 'stuck';
  return waitMs >= SLOW_MS ? 'slow' : 'calm';
}

/**
 * Since when, in whole seconds above one, so that what changes once a second is drawn once a
 * second.
 */
export function ageText(sinceMs: number, nowMs: number): string {
  const ms = Math.max(0, nowMs - sinceMs);
  return ms < 1000 ? '0s' : formatAge(ms);
}

export function stateWord({ state }: Pick<PageLock, 'state'>): 'held' | 'waiting' {
  return state === 'acquired' ? 'held' : 'waiting';
}

/** `write`, `read`, or `read, 4 at a time`. */
export function modeText({ isWrite, limit }: Pick<Entry, 'isWrite' | 'limit'>): string {
  if (isWrite) return 'write';
  return limit === undefined ? 'read' : `read, ${limit} at a time`;
}

/** The label of the session, or else the client's address. */
export function whoText({ session, client }: Pick<PageLock, 'session' | 'client'>): string {
  return printable(session ?? client);
}

/** The label and the owner of a lock; '' without both. */
export function labelOf({ label, owner }: Pick<PageLock, 'label' | 'owner'>): string {
  const parts = [label, owner === undefined ? undefined : `owner ${owner}`];
  return parts
    .filter((part) => part !== undefined)
    .map(printable)
    .join(', ');
}

/** `lost, 12s left`; '' if the client is connected. */
export function lostText({ isLost, abandonedAtMs }: PageLock, nowMs: number): string {
  if (!isLost) return '';
  if (abandonedAtMs === undefined) return 'client lost';
  return `client lost, ${ageText(nowMs, abandonedAtMs)} left`;
}

/** What it is on: `w:orders/17 r:prices`. */
export function lockText({ resources, moreResources }: PageLock): string {
  return resourcesText(resources, moreResources);
}
