/** What the server tells of locks, whosever they are: the fields that `inspect` and `watch` share. */
import { type Fields, isCount, isFields, isPath } from './replies.ts';
import type { Resource } from './resources.ts';

/** The words that were given for people: to the session, the lock, and its owner. */
export interface Words {
  readonly session?: string | undefined;
  readonly label?: string | undefined;
  readonly owner?: string | undefined;
}

/** Undefined if they are of a wrong type. */
export function decodeWords({ session, label, owner }: Fields): Words | undefined {
  const words: Words = {
    ...(typeof session === 'string' ? { session } : {}),
    ...(typeof label === 'string' ? { label } : {}),
    ...(typeof owner === 'string' ? { owner } : {}),
  };
  const isGood = [session, label, owner].every((word) => isOptionalString(word));
  return isGood ? words : undefined;
}

export interface ListedResources {
  readonly resources: readonly Resource[];
  readonly moreResources: number;
}

/** Undefined if they are of a wrong type. */
export function decodeResources(fields: Fields): ListedResources | undefined {
  const { resources, moreResources = 0 } = fields;
  if (!Array.isArray(resources) || !resources.every(isResource) || !isCount(moreResources)) {
    return undefined;
  }
  return { resources, moreResources };
}

function isResource(value: unknown): value is Resource {
  if (!isFields(value) || !isPath(value.path)) return false;
  if (value.type === 'write') return true;
  return value.type === 'read' && (value.limit === undefined || isCount(value.limit));
}

function isOptionalString(value: unknown): boolean {
  return value === undefined || typeof value === 'string';
}
