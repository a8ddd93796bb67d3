import { LockTable } from '../../../src/index.ts';

const table = new LockTable();
const first = table.lock([{ type: 'write', path: ['a'] }]);
const second = table.lock([{ type: 'read', path: ['a', 'b'] }]);
console.log(first.state, second.state); // acquired enqueued
const [next] = table.release(first);
console.log(next === second, second.state); // true acquired
