/** The package's public face. */
export type { Lock, LockState } from './table/lock.ts';
export { LockTable, type TableSize } from './table/lock-table.ts';
export type { Path, ReadResource, Resource, WriteResource } from './table/resource.ts';
