/** The fields that `inspect` and `watch` share: what the server says about any client's lock. */
import { type Fields, isCount, isFields, isOptionalString, isPath } from './replies.ts';
import type { Resource } from './resources.ts';

/** Text for people: the label of the session, the label of the lock, and its owner. */
export interface Labels {
  readonly session?: string | undefined;
  readonly label?: string | undefined;
  readonly owner?: string | undefined;
}

/** Undefined if one has a wrong type. */
export function decodeLabels({ session, label, owner }: Fields): Labels | undefined {
  if (![session, label, owner].every(isOptionalString)) return undefined;
  return {
    ...(typeof session === 'string' ? { session } : {}),
    ...(typeof label === 'string' ? { label } : {}),
    ...(typeof owner === 'string' ? { owner } : {}),
  };
}

export interface ListedResources {
  readonly resources: readonly Resource[];
  readonly moreResources: number;
}

/** Undefined if one has a wrong type. */
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
