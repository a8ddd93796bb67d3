/**
 * Measures the live view with many locks: `node --import tsx test/page/measure.ts [LOCKS]`, after
 * `npm run build`. Prints how long the first picture takes, how long a change takes to be seen, how
 * busy the page is with many changes, and how long the server's event loop is blocked meanwhile.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { connect, write } from '../../src/client/index.ts';
import { compiledServer } from './compiled-server.ts';

const COUNT = Number(process.argv[2] ?? 10_000);
const QUIET_MS = 5000;
const CHURN_MS = 10_000;
const CHURN_EVERY_MS = 5;

if (process.argv[2] === 'server') {
  await serve();
}
const child = fork(fileURLToPath(import.meta.url), ['server']);
const [port]: number[] = await once(child, 'message');
const client = await connect(`locktopus://127.0.0.1:${port}/shop`, { label: 'many' });
const waiter = await connect(`locktopus://127.0.0.1:${port}/shop`, { label: 'waiter' });
for (let i = 0; i < COUNT * 0.9; i++) await client.lock(write('items', i % 100, i));
for (let i = 0; i < COUNT * 0.1; i++) waiter.lock(write('items', i % 100, i)).catch(() => {});
await waiter.ping();

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--disable-gpu'],
  chromiumSandbox: process.getuid?.() !== 0,
});
const page = await browser.newPage();
const session = await page.context().newCDPSession(page);
await session.send('Performance.enable');

async function busyMs(): Promise<number> {
  const { metrics } = await session.send('Performance.getMetrics');
  return 1000 * (metrics.find(({ name }) => name === 'TaskDuration')?.value ?? 0);
}

await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
console.log(`server, in ${QUIET_MS} quiet ms: ${await loadOfServer()}`);
await page.goto(`http://127.0.0.1:${port}/#live/shop`);
await page.locator('#live .row').first().waitFor();
const firstMs: number = await page.evaluate('performance.now()');
await page.getByText(`${COUNT} locks`).waitFor();
const allMs: number = await page.evaluate('performance.now()');
console.log(`first rows after ${firstMs.toFixed(0)} ms, all ${COUNT} after ${allMs.toFixed(0)} ms`);
console.log(`the page was busy for ${(await busyMs()).toFixed(0)} ms of that`);
console.log(`server: ${await loadOfServer()}`);

const seenMs: number[] = [];
for (let i = 0; i < 15; i++) {
  const startMs = performance.now();
  const lock = await client.lock(write(`new-${i}`));
  await page.getByText(`${COUNT + 1} locks`).waitFor();
  seenMs.push(performance.now() - startMs);
  await lock.release();
  await page.getByText(`${COUNT} locks`).waitFor();
}
seenMs.sort((a, b) => a - b);
console.log(`a change is seen after ${seenMs[7]?.toFixed(0)} ms (median of 15)`);

const beforeMs = await busyMs();
const endMs = performance.now() + CHURN_MS;
let changes = 0;
await page.evaluate(`globalThis.longest = 0; new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
}).observe({ type: 'longtask' })`);
while (performance.now() < endMs) {
  const lock = await client.lock(write('churn', changes % 50));
  await lock.release();
  changes += 2;
  await new Promise((resolve) => setTimeout(resolve, CHURN_EVERY_MS));
}
const busy = (100 * ((await busyMs()) - beforeMs)) / CHURN_MS;
const longestMs: number = await page.evaluate('longest');
console.log(
  `${Math.round((1000 * changes) / CHURN_MS)} changes a second: page busy ${busy.toFixed(0)} %`,
);
console.log(`longest task of the page ${longestMs.toFixed(0)} ms`);
console.log(`server: ${await loadOfServer()}`);
await browser.close();
await Promise.all([client.close(), waiter.close()]);
child.disconnect();

/**
 * Since it was last asked. On a machine with other work the delay is mostly that of other
 * processes: the CPU time says what the server itself did.
 */
async function loadOfServer(): Promise<string> {
  child.send('load');
  const [[delayMs, cpuMs]] = (await once(child, 'message')) as [[number, number]];
  return `${cpuMs} ms of CPU time, longest delay of the loop ${delayMs} ms`;
}

/** The server, in a process of its own: says its port, then its load whenever it is asked. */
async function serve(): Promise<never> {
  const CompiledServer = await compiledServer();
  const server = new CompiledServer({ port: 0 });
  await server.listen();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  let cpu = process.cpuUsage();
  process.on('message', () => {
    const { user, system } = process.cpuUsage(cpu);
    cpu = process.cpuUsage();
    process.send?.([delay.max / 1e6, (user + system) / 1e3].map(Math.round));
    delay.reset();
  });
  process.on('disconnect', () => process.exit());
  process.send?.(server.address.port);
  return new Promise(() => {});
}
