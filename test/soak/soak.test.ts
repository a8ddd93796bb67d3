/**
 * The real program at full speed while everything comes and goes; then nothing may be left, and
 * while it runs nothing may grow.
 *
 * `npm run soak` keeps it up for ten minutes, `SOAK_SECONDS=n` for n. Whether the heap is flat is
 * judged from half a minute on: before that it is warming up.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { mib, ProbedProgram, type Sample, told } from '../support/probed-program.ts';
import { flatness } from './flatness.ts';
import { Load } from './load.ts';

const SECONDS = Number(process.env.SOAK_SECONDS ?? 1);
/** Clients at a time. */
const PLACES = 60;
const SAMPLES = 60;
const JUDGED_FROM_SECONDS = 30;
const MIB = 2 ** 20;

test('when everybody has left nothing is left, and nothing grows meanwhile', {
  timeout: (SECONDS + 60) * 1000,
}, async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  t.diagnostic(`SEED=${seed}`);
  const server = new ProbedProgram(t);
  const load = new Load(await server.port(), seed);
  const before = await server.settled();

  const running = load.run(PLACES);
  const samples: Sample[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    await delay((SECONDS * 1000) / SAMPLES);
    samples.push(await server.look());
  }
  const { gauges } = server;
  load.isOver = true;
  await running;
  await server.empty();
  const after = await server.settled(
    ({ descriptors, handles }) => descriptors <= before.descriptors && handles <= before.handles,
  );

  t.diagnostic(`${load.locks} locks, ${load.connections} connections in ${SECONDS} s`);
  t.diagnostic(`while busy: ${gauges}`);
  t.diagnostic(`before ${told(before)}; after ${told(after)}`);
  // Fewer if the program had not quite started before.
  assert.ok(
    after.descriptors <= before.descriptors && after.handles <= before.handles,
    told(after),
  );
  for (const [figure, slack] of [
    ['heap', MIB],
    ['rss', 8 * MIB],
  ] as const) {
    const { middle, last, isFlat } = flatness(
      samples.map((sample) => sample[figure]),
      slack,
    );
    t.diagnostic(`${figure}: ${mib(middle)} MiB in the middle third, ${mib(last)} in the last`);
    if (SECONDS >= JUDGED_FROM_SECONDS) assert.ok(isFlat, `${figure} grows`);
  }
  if (SECONDS >= JUDGED_FROM_SECONDS) assert.ok(after.heap < before.heap + 4 * MIB, told(after));
});
