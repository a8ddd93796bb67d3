/** Real servers that share a real etcd: hand-over, death, and waking up behind the times. */
import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import { write } from '../../src/client/index.ts';
import { connected, next } from '../client/support.ts';
import { Etcd, etcdIsMissing } from '../support/etcd.ts';
import { ask } from '../support/http-client.ts';
import { LineClient, lock, write as writeTo } from '../support/line-client.ts';
import { Program } from '../support/program.ts';

const needsEtcd = { skip: etcdIsMissing };
const shared = etcdIsMissing === false ? await Etcd.start({ after }) : undefined;

let cells = 0;

interface Member {
  readonly program: Program;
  readonly port: number;
}

/** Starts servers of one cell, one after another; the first one serves. */
async function startCell(t: TestContext, count: number): Promise<readonly Member[]> {
  const args = [
    ...['--port', '0', '--etcd', `${shared?.urls.map(({ origin }) => origin)}`],
    ...['--etcd-prefix', `/processes/${++cells}/`, '--lease-ttl', '2'],
  ];
  const members: Member[] = [];
  for (let i = 0; i < count; i++) {
    const program = new Program(t, args);
    const port = await program.port();
    await program.logged(i === 0 ? /this server serves now/ : /serves; this one waits/);
    members.push({ program, port });
  }
  return members;
}

const urlOf = (members: readonly Member[]): string =>
  `locktopus://${members.map(({ port }) => `127.0.0.1:${port}`).join(',')}/shop`;

test('one of two servers serves, the other one says which', needsEtcd, async (t) => {
  const [owner, waiting] = await startCell(t, 2);
  assert.ok(owner !== undefined && waiting !== undefined);
  const ownerAddress = `127.0.0.1:${owner.port}`;
  assert.equal((await ask(owner.port, '/readyz')).status, 200);
  const ready = await ask(waiting.port, '/readyz');
  assert.equal(ready.status, 503);
  assert.match(ready.body, new RegExp(ownerAddress));
  assert.equal((await ask(waiting.port, '/livez')).status, 200);
  assert.match((await ask(waiting.port, '/metrics')).body, /^locktopus_owner 0$/m);
  assert.match((await ask(owner.port, '/metrics')).body, /^locktopus_owner 1$/m);
  const v1 = await ask(waiting.port, '/v1?namespace=a');
  assert.equal(v1.status, 503);
  assert.equal(v1.headers['retry-after'], '1');
  assert.match(v1.body, new RegExp(ownerAddress));

  const lines = await LineClient.connect(t, waiting.port);
  lines.send(lock(writeTo('a')));
  const [refusal] = (await lines.ended()) as { error: { code: string; owner: string } }[];
  assert.equal(refusal?.error.code, 'not_owner');
  assert.equal(refusal?.error.owner, ownerAddress);

  // A client with the addresses of both finds the one that serves.
  const client = await connected(t, urlOf([waiting, owner]));
  const held = await client.lock(write('a'));
  assert.equal(held.isHeld, true);

  // It is told to stop: the other one goes on, and no lock is lost.
  const resumed = next(client, 'resumed');
  const startMs = performance.now();
  owner.program.child.kill('SIGTERM');
  await resumed;
  t.diagnostic(`hand-over: resumed after ${Math.round(performance.now() - startMs)} ms`);
  assert.equal(held.isHeld, true);
  await waiting.program.logged(/this server serves now: recovered 1 session and 1 lock/);
  assert.equal(await owner.program.ended(), 0);
  await held.release();
});
