/** What a log that was cut, damaged or written by a faulty server is read as, or why it is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkDirectory, reportText } from '../../src/store/check.ts';
import type { Claim } from '../../src/store/claim.ts';
import { DataDirectory } from '../../src/store/data-dir.ts';
import { encodeFrame, type Frame } from '../../src/store/frame.ts';
import { type LogContents, readLog } from '../../src/store/log-reader.ts';
import { deleteLockRecord, sessionRecord } from '../../src/store/record.ts';
import { type Loaded, StoreError } from '../../src/store/store.ts';
import { MemoryFiles } from '../support/memory-files.ts';
import { Random } from '../support/random.ts';
import { StoreModel } from '../support/store-model.ts';

const LOG = '/data/locktopus.log';
const FIRST_LINE = Buffer.from('locktopus-log 1\n');

async function read(log: Buffer): Promise<LogContents> {
  const files = new MemoryFiles();
  files.put(LOG, log);
  const contents = await readLog(files, LOG);
  assert.ok(contents !== undefined);
  return contents;
}

/** How `log` is refused; undefined if it is not. */
async function refusal(log: Buffer): Promise<string | undefined> {
  try {
    await read(log);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof StoreError, String(error));
    return error.message;
  }
}

function held({ position, sessions, locks }: Loaded): Loaded {
  return { position, sessions, locks };
}

interface Sample {
  readonly log: Buffer;
  /** After the snapshot, and after each batch: where it ends in the log, and the state. */
  readonly marks: readonly { readonly end: number; readonly state: Loaded }[];
}

/** A small log: a snapshot in several frames and some batches. */
async function makeSample(): Promise<Sample> {
  const files = new MemoryFiles();
  const claim = async (): Promise<Claim> => ({ isOurs: () => true, release: async () => {} });
  const store = new DataDirectory('/data', { files, claim, sliceLength: 100, fillBytes: 0 });
  await store.load();
  const model = new StoreModel(new Random(5));
  model.lock(model.beginSession());
  model.seal();
  const marks: { end: number; state: Loaded }[] = [];
  const mark = (): void => {
    marks.push({ end: files.contents().get(LOG)?.length ?? 0, state: model.state() });
  };
  await store.start(model.next(), model.live);
  mark();
  for (let batch = 0; batch < 4; batch++) {
    for (let changes = 0; changes < 2; changes++) model.step();
    await store.commit(model.seal());
    mark();
  }
  await store.close();
  const log = files.contents().get(LOG);
  assert.ok(log !== undefined);
  return { log, marks };
}

const sample = await makeSample();

test('cut at any byte: all batches before it are there; within the snapshot it is refused', async () => {
  const { log, marks } = sample;
  for (let length = 0; length <= log.length; length++) {
    const cut = log.subarray(0, length);
    const last = marks.findLast(({ end }) => end <= length);
    if (last === undefined) {
      assert.match(
        String(await refusal(cut)),
        /is broken at byte \d+ of \d+: .*Move the file away/,
      );
      continue;
    }
    const contents = await read(cut);
    assert.deepEqual(held(contents), last.state);
    assert.equal(contents.tornBytes, length - last.end);
    assert.equal(contents.batches, marks.indexOf(last));
  }
});

test('any bit flipped: refused, or it was in the last batch, which is left out', async () => {
  const { log, marks } = sample;
  const before = marks.at(-2);
  assert.ok(before !== undefined);
  for (let bit = 0; bit < log.length * 8; bit++) {
    const flipped = Buffer.from(log);
    const at = bit >> 3;
    flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (bit & 7)), at);
    if (at < before.end) assert.ok((await refusal(flipped)) !== undefined, `bit ${bit}`);
    else assert.deepEqual(held(await read(flipped)), before.state, `bit ${bit}`);
  }
});

test('zeros, or an earlier log, behind the last batch are left out', async () => {
  const { log, marks } = sample;
  const last = marks.at(-1);
  const earlier = Buffer.concat([Buffer.alloc(1), log]);
  const zeros = [Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(600_000)];
  for (const torn of [Buffer.alloc(0), log, earlier, log.subarray(0, 100), Buffer.from('\0\0x')]) {
    for (const rest of zeros.map((room) => Buffer.concat([torn, room]))) {
      const contents = await read(Buffer.concat([log, rest]));
      assert.deepEqual(held(contents), last?.state);
      assert.equal(contents.tornBytes, torn.length);
      assert.equal(contents.bytes, log.length + rest.length);
    }
  }
});

test('a write that makes the log longer takes zeros along, and those that follow replace them', async () => {
  const files = new MemoryFiles();
  const claim = async (): Promise<Claim> => ({ isOurs: () => true, release: async () => {} });
  const store = new DataDirectory('/data', { files, claim, fillBytes: 10_000 });
  await store.load();
  const model = new StoreModel(new Random(1));
  await store.start(model.next(), model.live);
  const sizes = new Set<number | undefined>();
  for (let batch = 0; batch < 100; batch++) {
    for (let changes = 0; changes < 2; changes++) model.step();
    await store.commit(model.seal());
    sizes.add(files.contents().get(LOG)?.length);
  }
  const bytes = store.bytes ?? 0;
  await store.close();
  assert.ok(sizes.size > 1 && sizes.size <= Math.ceil(bytes / 10_000), `${sizes.size} sizes`);
  const contents = await readLog(files, LOG);
  assert.ok(contents !== undefined);
  assert.deepEqual(held(contents), model.state());
  assert.equal(contents.tornBytes, 0);
});

test('small batches are written on this thread, but not right after a large or slow one', async (t) => {
  const files = new MemoryFiles();
  const claim = async (): Promise<Claim> => ({ isOurs: () => true, release: async () => {} });
  const store = new DataDirectory('/data', { files, claim, fillBytes: 0, blockingBytes: 400 });
  await store.load();
  const model = new StoreModel(new Random(1));
  await store.start(model.next(), model.live);
  const ways: string[] = [];
  let nowMs = 0;
  let slowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  const write = files.write.bind(files);
  const writeNow = files.writeNow.bind(files);
  files.write = (...given) => {
    ways.push('pool');
    return write(...given);
  };
  files.writeNow = (...given) => {
    ways.push('this thread');
    nowMs += slowMs;
    return writeNow(...given);
  };
  const commit = async (): Promise<string | undefined> => {
    await store.commit(model.seal());
    return ways.at(-1);
  };
  assert.equal(await commit(), 'this thread');
  const session = model.beginSession();
  for (let i = 0; i < 9; i++) model.lock(session);
  for (let i = 0; i < 10; i++) assert.equal(await commit(), 'pool', 'a large one, or after it');
  slowMs = 3;
  assert.equal(await commit(), 'this thread');
  for (let i = 0; i < 3; i++) assert.equal(await commit(), 'pool');
  assert.equal(await commit(), 'this thread');
  await store.close();
});

test('a whole batch far behind a broken one is found, wherever the windows of the reader end', async () => {
  const { log, marks } = sample;
  const before = marks.at(-2)?.end ?? 0;
  const last = log.subarray(before);
  for (const far of [0, 1, 262_100, 262_125, 262_143, 262_144, 524_300]) {
    const broken = Buffer.concat([log.subarray(0, before), Buffer.alloc(1 + far, '#'), last]);
    const expected = `broken at byte ${before} of .*: batch \\d+ follows at byte ${before + 1 + far}`;
    assert.match(String(await refusal(broken)), new RegExp(expected));
  }
});

/** A log of the given frames. */
function logOf(...frames: readonly [Partial<Frame>, readonly string[]][]): Buffer {
  const zero = { batch: 1, lockIds: 9, sessionIds: 9, clockMs: 0 };
  const encoded = frames.map(([frame, records]) => encodeFrame({ ...zero, ...frame }, records));
  return Buffer.concat([FIRST_LINE, ...encoded]);
}

const SESSION = { namespace: 'a', abandonTimeoutMs: 0, label: undefined, key: undefined };
const PUT = sessionRecord({ id: 3, ...SESSION });
const LOCK =
  '{"lock":5,"session":3,"resources":[{"type":"read","path":[]}],"held":true,"sinceMs":0}';

test('what a correct server does not write is refused, with the place and the reason', async () => {
  const end: [Partial<Frame>, string[]] = [{ snapshot: 'end' }, []];
  const wrong: [Buffer, RegExp][] = [
    [Buffer.alloc(0), /byte 0 of 0: it is not a Locktopus log/],
    [Buffer.from('hello\n'), /byte 0 of 6: it is not a Locktopus log/],
    [logOf(), /byte 16 of 16: the snapshot at its start is incomplete/],
    [logOf([{ snapshot: 'part' }, []]), /the snapshot at its start is incomplete/],
    [logOf([{}, []]), /byte 16 .*a part of the snapshot is missing/],
    [logOf([{ snapshot: 'part' }, []], [{ batch: 2 }, []]), /a part of the snapshot is missing/],
    [logOf(end, [{ batch: 2, snapshot: 'end' }, []]), /a second snapshot begins/],
    [logOf(end, [{ batch: 3 }, []]), /batch 3 follows batch 1/],
    [logOf(end, [{ batch: 1 }, []]), /batch 1 follows batch 1/],
    [logOf([{ batch: 1, snapshot: 'part' }, []], [{ batch: 3, snapshot: 'end' }, []]), /3 follows/],
    [
      logOf([{ snapshot: 'end' }, ['{"lock":0}']]),
      /byte 16 .*invalid record {"lock":0}: lock must be a positive/,
    ],
    [logOf([{ snapshot: 'end' }, [LOCK]]), /lock 5 belongs to session 3, which is missing/],
    [logOf([{ snapshot: 'end', lockIds: 4 }, [PUT, LOCK]]), /ids above the last ones, 4 and 9/],
    [logOf([{ snapshot: 'end', sessionIds: 2 }, [PUT]]), /ids above the last ones, 9 and 2/],
    [
      logOf(end, [{ batch: 2 }, []], [{ batch: 3 }, [deleteLockRecord(7)]]),
      /invalid record {"deleteLock":7}: it deletes what is not there/,
    ],
  ];
  for (const [log, reason] of wrong) assert.match(String(await refusal(log)), reason);
});

test('what ends while a snapshot is drawn may be deleted without a put', async () => {
  const gone = [deleteLockRecord(7)];
  const parts = logOf(
    [{ snapshot: 'part' }, [LOCK, ...gone]],
    [{ batch: 2, snapshot: 'part' }, gone],
    [{ batch: 3, snapshot: 'end' }, [PUT, ...gone]],
    [{ batch: 4 }, gone],
  );
  const { locks, sessions, records } = await read(parts);
  assert.deepEqual([locks.length, sessions.length, records], [1, 1, 6]);
});

test('a batch larger than the windows of the reader', async () => {
  const puts = Array.from({ length: 9000 }, (_, i) => sessionRecord({ id: i + 1, ...SESSION }));
  const { sessions } = await read(
    logOf([{ snapshot: 'end' }, []], [{ batch: 2, sessionIds: 9000 }, puts]),
  );
  assert.equal(sessions.length, 9000);
});

async function check(log: Buffer | undefined): Promise<string> {
  const files = new MemoryFiles();
  if (log !== undefined) files.put(LOG, log);
  const report = await checkDirectory('/data', files);
  assert.equal(files.openCount, 0);
  return reportText(report);
}

test('a check says what a log holds, or why a server can not start with it', async () => {
  assert.equal(
    await check(undefined),
    '/data: no server uses it\nIt has no log: no locks are stored.',
  );
  const log = logOf([{ snapshot: 'end' }, [PUT, LOCK]], [{ batch: 2, clockMs: 70 }, []]);
  assert.equal(
    await check(Buffer.concat([log, Buffer.from('#00\0\0')])),
    [
      '/data: no server uses it',
      'sessions: 1, of which 0 can be resumed',
      'locks: 1, of which 1 was held when stored',
      'last ids: lock 9, session 9',
      "last batch: 2, at 70 ms of the server's clock",
      `log: version 1, ${log.length + 5} bytes, 2 records`,
      'batches since the log was made: 1',
      'end: 3 bytes of a batch whose write was interrupted. No client has heard of it; the next start leaves it out',
    ].join('\n'),
  );
  assert.equal(
    await check(FIRST_LINE),
    "/data: no server uses it\nA server can't start with it: /data/locktopus.log is broken at byte 16 of 16: " +
      'the snapshot at its start is incomplete. Nothing has been changed. ' +
      'Move the file away to start without the locks in it; stop the clients that rely on them first',
  );
});
