/**
 * Sends bytes of every kind to a running server while bystanders hold and await locks. `SEED=n`
 * replays a round, `ROUNDS=n` plays more of them, `FUZZ_SECONDS=n` plays for that long; `npm run
 * fuzz` does so for two minutes.
 */
import { type TestContext, test } from 'node:test';
import { withSeedsInTurn } from '../support/random.ts';
import { playRound, within } from './round.ts';

/** Sockets and listeners that this process has open. */
function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => /^TCP/.test(name)).length;
}

test('no bytes crash the server, hang it, or change the lock of another', async (t: TestContext) => {
  const before = openSockets();
  const heard = new Map<string, number>();
  let clients = 0;
  const rounds = await withSeedsInTurn(60, async (random) => {
    const report = await playRound(t, random);
    clients += report.clients;
    for (const what of report.heard) heard.set(what, (heard.get(what) ?? 0) + 1);
  });
  const counted = [...heard].map(([what, count]) => `${what} ${count}`).join(', ');
  t.diagnostic(`${rounds} rounds, ${clients} connections; heard: ${counted}`);
  // The sockets of the clients close some turns after the server's.
  await within(() => openSockets() <= before, 'every socket is closed');
});
