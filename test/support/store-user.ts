/**
 * A process that uses the data directory of its command line: it reports its start, then the number
 * of each batch that is stored, until it is killed.
 */
import { DataDirectory } from '../../src/store/data-dir.ts';
import { Random } from './random.ts';
import { StoreModel } from './store-model.ts';

const [path = ''] = process.argv.slice(2);
const store = new DataDirectory(path, { minRewriteBytes: 4000, sliceLength: 200 });
const loaded = await store.load();
const model = StoreModel.from(loaded, new Random(loaded.position.batch + 1));
await store.start(model.next(), model.live);
process.send?.(loaded.position.batch);
for (;;) {
  for (let changes = 0; changes < 8; changes++) model.step();
  const batch = model.seal();
  await store.commit(batch);
  process.send?.(batch.batch);
}
