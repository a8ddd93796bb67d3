/** A data directory on a disk that fails: what was committed is there, and never half of a batch. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Claim } from '../../src/store/claim.ts';
import { DataDirectory } from '../../src/store/data-dir.ts';
import { type Loaded, StoreError } from '../../src/store/store.ts';
import { type Fault, MemoryFiles } from '../support/memory-files.ts';
import { Random } from '../support/random.ts';
import { StoreModel } from '../support/store-model.ts';

const PATH = '/data';
const LOG = '/data/locktopus.log';
const COMMITS = 14;

function openOn(files: MemoryFiles, isOurs = (): boolean => true): DataDirectory {
  const claim = async (): Promise<Claim> => ({ isOurs, release: async () => {} });
  const sizes = { minRewriteBytes: 1500, sliceLength: 150, fillBytes: 400, blockingBytes: 200 };
  return new DataDirectory(PATH, { files, claim, ...sizes });
}

/** What a run has done until it ended. */
interface Run {
  hasLoaded: boolean;
  /** The state after each batch, by number. */
  readonly states: Map<number, Loaded>;
  /** The number of `start`, at whose state any of the locks that ended meanwhile may be there. */
  startedAt: number;
  /** The last batch whose commit has resolved. */
  committed: number;
}

/** A server's life: a start and some commits. Rejects with what has failed. */
async function live(
  store: DataDirectory,
  seed: number,
  run: Run,
  commits = COMMITS,
): Promise<void> {
  const random = new Random(seed);
  run.hasLoaded = false;
  const loaded = await store.load();
  run.hasLoaded = true;
  run.committed = loaded.position.batch;
  run.states.set(run.committed, loaded);
  const model = StoreModel.from(loaded, random);
  run.startedAt = model.next().batch;
  model.drawn = () => {
    if (random.oneIn(8)) model.endAnyLock();
  };
  run.states.set(run.startedAt, model.state());
  await store.start(model.state().position, model.live);
  model.drawn = () => {};
  run.committed = run.startedAt;
  for (let i = 0; i < commits; i++) {
    model.step();
    const batch = model.seal();
    run.states.set(batch.batch, model.state());
    const stored = store.commit(batch);
    // Of the next batch.
    for (let changes = random.below(12); changes > 0; changes--) model.step();
    await stored;
    run.committed = batch.batch;
  }
}

function newRun(): Run {
  return { hasLoaded: false, states: new Map(), startedAt: 0, committed: 0 };
}

/** After a commit has failed nothing is written any more. */
async function assertFinal(
  store: DataDirectory,
  files: MemoryFiles,
  run: Run,
  error: StoreError,
): Promise<void> {
  const last = run.states.get(run.committed + 1)?.position;
  if (run.committed < run.startedAt || last === undefined) return;
  const before = files.contents();
  await assert.rejects(store.commit({ ...last, batch: last.batch + 1, records: [] }), error);
  assert.deepEqual(files.contents(), before);
}

/** Reads what `run` has left on `files`, and lets a server go on from there. */
async function recover(files: MemoryFiles, run: Run, what: string): Promise<void> {
  const store = openOn(files);
  const loaded = await store.load();
  const { batch } = loaded.position;
  assert.ok(batch >= run.committed, `${what}: batch ${batch}, after ${run.committed}`);
  const state = run.states.get(batch);
  assert.ok(state !== undefined, what);
  if (batch === run.startedAt) assertBetween(loaded, state, run.states.get(batch + 1), what);
  else assert.deepEqual(loaded, state, what);
  await store.close();
  assert.equal(files.openCount, 0);

  const next = newRun();
  const second = openOn(files);
  await live(second, batch, next, 2);
  assert.deepEqual(next.states.get(batch), loaded);
  await second.close();
}

/** The state at a start: what ended meanwhile may be there or not. */
function assertBetween(found: Loaded, most: Loaded, after: Loaded | undefined, what: string): void {
  const ids = (state: Loaded): Set<number> => new Set(state.locks.map(({ id }) => id));
  assert.deepEqual(found.position, most.position, what);
  assert.deepEqual(found.sessions, most.sessions, what);
  for (const id of ids(found)) assert.ok(ids(most).has(id), what);
  if (after === undefined) return;
  for (const id of ids(after)) assert.ok(!ids(most).has(id) || ids(found).has(id), what);
}

/** Files with the log of a server that has run before. */
async function usedFiles(seed: number): Promise<MemoryFiles> {
  const files = new MemoryFiles(new Random(seed));
  const store = openOn(files);
  await live(store, seed, newRun());
  await store.close();
  assert.equal(files.openCount, 0);
  return files;
}

test('whichever call fails, and however: the commits that resolved are there, and no half batch', async () => {
  let failed = 0;
  let rewriting = 0;
  for (const fault of ['cut', 'EIO', 'ENOSPC', 'short'] as Fault[]) {
    for (let at = 1, hasFailed = true; hasFailed; at++) {
      const what = `${fault} at call ${at}`;
      const files = at % 4 === 0 ? new MemoryFiles() : (await usedFiles(at)).afterExit();
      const before = files.contents();
      const run = newRun();
      // The same life without a fault: what there is to lose.
      await live(openOn(files.afterExit()), at, run);
      run.committed = run.startedAt - 1;
      const store = openOn(files);
      files.failAt(at, fault);
      const end = live(store, at, run).then(
        () => undefined,
        (error: unknown) => error,
      );
      const error = await Promise.race([end, files.whenCut]);
      hasFailed = files.hasFailed;
      if (error !== undefined) {
        failed++;
        assert.ok(error instanceof StoreError, `${what}: ${error}`);
        if (!run.hasLoaded) assert.deepEqual(files.contents(), before, what);
        await assertFinal(store, files, run, error);
        if (files.contents().has(`${LOG}.new`)) rewriting++;
        await store.close();
        assert.equal(files.openCount, 0, what);
        assert.ok(!files.contents().has(`${LOG}.new`), what);
      }
      await recover(files.afterExit(), run, `${what}, the process has ended`);
      await recover(files.afterCrash(), run, `${what}, all that was not flushed is lost`);
      await recover(files.afterAnyCrash(new Random(at)), run, `${what}, some of it is lost`);
    }
  }
  assert.ok(failed > 50, `${failed} runs have failed`);
  assert.ok(rewriting > 50, `${rewriting} runs had a log in the making`);
});

test('a log is written anew on a slow disk: what begins and ends meanwhile is not stored', async () => {
  const random = new Random(1);
  const files = new MemoryFiles();
  const store = openOn(files);
  await store.load();
  const model = new StoreModel(random);
  await store.start(model.next(), model.live);
  const session = model.beginSession();
  const locks: number[] = [];
  // Few locks that end soon: a log has grown already when it is published.
  const change = (): void => {
    if (locks.length < 3 && random.oneIn(2)) locks.push(model.lock(session));
    else for (const lock of locks.splice(0, 1)) model.endLock(lock);
  };
  for (let i = 0; i < 100; i++) {
    files.slowness = 1 + random.below(40);
    const batch = model.seal();
    const state = model.state();
    let isStored = false;
    const commit = store.commit(batch).then(() => {
      isStored = true;
    });
    for (let turns = 0; !isStored || turns < 8; turns++) {
      change();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await commit;
    await assertHas(files.afterCrash(), state, `batch ${i}`);
  }
  await store.close();
});

test('while a log is being written anew, a server that stops leaves what was alive', async () => {
  let inTheMaking = 0;
  for (let commits = 1; commits <= 30; commits++) {
    const files = new MemoryFiles();
    files.slowness = 20;
    const store = openOn(files);
    await store.load();
    const model = new StoreModel(new Random(commits));
    await store.start(model.next(), model.live);
    for (let i = 0; i < commits; i++) {
      for (let changes = 0; changes < 9; changes++) model.step();
      await store.commit(model.seal());
    }
    if (files.contents().has(`${LOG}.new`)) inTheMaking++;
    const { sessions, locks } = model.state();
    store.freeze();
    files.slowness = 1;
    // All sessions end, which is not recorded.
    for (const { id } of sessions) model.endSession(id);
    for (let i = 0; i < 20; i++) await store.commit({ ...model.seal(), records: [] });
    await store.close();
    const { position } = model.state();
    await assertHas(files.afterCrash(), { position, sessions, locks }, `${commits} commits`);
  }
  assert.ok(inTheMaking > 5, `${inTheMaking} times`);
});

test('a directory whose making was not flushed is flushed by the next start, if its parent allows it', async () => {
  const files = new MemoryFiles();
  // As by a server that ended before it could flush.
  await files.makeDirectory(PATH);
  const store = openOn(files);
  await store.load();
  const model = new StoreModel(new Random(1));
  await store.start(model.next(), model.live);
  await assertHas(files.afterCrash(), model.state(), 'after a crash of the machine');
  await store.close();

  const hidden = new MemoryFiles();
  const open = hidden.open.bind(hidden);
  hidden.open = async (path, mode) => {
    if (path === '/') throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
    return open(path, mode);
  };
  const other = openOn(hidden);
  await other.load();
  await other.close();
  assert.equal(hidden.openCount, 0);
});

test('without its claim a server neither begins a log nor replaces one', async () => {
  for (let commits = 1; commits <= 20; commits++) {
    const files = new MemoryFiles();
    let isOurs = true;
    const store = openOn(files, () => isOurs);
    await store.load();
    const model = new StoreModel(new Random(commits));
    await store.start(model.next(), model.live);
    const change = async (): Promise<void> => {
      for (let changes = 0; changes < 9; changes++) model.step();
      await store.commit(model.seal());
    };
    for (let i = 0; i < commits; i++) await change();
    isOurs = false;
    const before = [...files.contents().keys()];
    const goOn = async (): Promise<void> => {
      for (let i = 0; i < 200; i++) await change();
    };
    await assert.rejects(goOn(), /no longer claimed by this server/);
    await store.close();
    assert.deepEqual([...files.contents().keys()], before, `after ${commits} commits`);
  }
});

async function assertHas(files: MemoryFiles, state: Loaded, what: string): Promise<void> {
  const store = openOn(files);
  assert.deepEqual(await store.load(), state, what);
  await store.close();
}

test('a log does not grow for ever, even if batches are larger than the slices of a snapshot', async () => {
  const files = new MemoryFiles();
  const store = openOn(files);
  await store.load();
  const model = new StoreModel(new Random(1));
  await store.start(model.next(), model.live);
  const session = model.beginSession();
  const locks: number[] = [];
  let most = 0;
  for (let i = 0; i < 200; i++) {
    for (let changes = 0; changes < 20; changes++) locks.push(model.lock(session));
    for (const lock of locks.splice(0, locks.length - 60)) model.endLock(lock);
    await store.commit(model.seal());
    most = Math.max(most, store.bytes ?? 0);
  }
  await store.close();
  const alive = [...model.live()].join('\n').length;
  assert.ok(most < 16 * alive, `${most} bytes, of which ${alive} are alive`);
  assert.deepEqual(await openOn(files).load(), model.state());
});
