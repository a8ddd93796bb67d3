/** The program stops: what it waits for, what it says, and how it ends; and held up, what it keeps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineClient, lock, write } from '../support/line-client.ts';
import { take } from '../support/line-server.ts';
import { Program } from '../support/program.ts';

test('a holder that releases in time is not cut off: exit code 0', async (t) => {
  const program = new Program(t, ['--port', '0', '--drain-timeout', '600000']);
  const client = await LineClient.connect(t, await program.port());
  await client.ask(lock(write('a')));
  program.child.kill('SIGTERM');
  await program.logged(
    /SIGTERM: stopping .*\n.* draining: 1 session holds 1 lock: lock \d+ of 127.*\n/,
  );
  assert.match(JSON.stringify(await client.next()), /"draining"/);
  client.send({ action: 'release' });
  assert.equal((await client.ended()).length, 2);
  client.socket.end();
  assert.equal(await program.ended(), 0);
  assert.match(program.stdout, /Z stopped\n$/);
});

test('a holder that does not release in time is cut off: exit code 3', async (t) => {
  const program = new Program(t, ['--port', '0'], { LOCKTOPUS_DRAIN_TIMEOUT: '50' });
  const client = await LineClient.connect(t, await program.port());
  await client.ask(lock(write('a')));
  program.child.kill('SIGINT');
  assert.match(JSON.stringify(await client.ended()), /"draining".*"shutting_down"/);
  client.socket.end();
  assert.equal(await program.ended(), 3);
  assert.match(program.stdout, /Z stopped; 1 session that held locks was cut off\n$/);
});

test('a program that stands still expires nobody who has spoken meanwhile', async (t) => {
  const program = new Program(t, ['--port', '0', '--log-clients', '--stall-threshold', '300']);
  const port = await program.port();
  const beating = await LineClient.connect(t, port);
  const lost: unknown[] = [];
  const clients: LineClient[] = [];
  for (let i = 0; i < 60; i++) {
    const client = await LineClient.connect(t, port);
    lost.push((await client.ask({ action: 'hello', abandonTimeoutMs: 4000 })).session);
    clients.push(client);
  }
  const ports = clients.map((client) => client.socket.localPort);
  for (const client of clients) client.socket.destroy();
  for (const at of ports) await program.logged(new RegExp(`:${at} disconnected\\n`));
  await beating.ask({ action: 'hello', heartbeatMs: 3000 });
  program.child.kill('SIGSTOP');
  beating.send({ action: 'ping', ref: 'stopped' });
  // The kernel takes these connections, and what is sent on them, for the program.
  const back = await Promise.all(lost.map(() => LineClient.connect(t, port)));
  for (const [i, client] of back.entries()) client.send({ action: 'hello', session: lost[i] });
  await new Promise((resolve) => setTimeout(resolve, 4500));
  program.child.kill('SIGCONT');
  assert.deepEqual(await take(beating, 1), [{ action: 'ping', ref: 'stopped' }]);
  for (const client of back) assert.equal((await client.next()).resumed, true);
  await program.logged(/ event loop blocked for \d{4,} ms\n/);
});
