/**
 * The client in pages of a real browser. Skipped where Chromium isn't installed; in CI it must be. The
 * server's clock is driven, so that no lock of a page that is gone moves on before the test says so.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { BrowserContext, Page } from 'playwright-core';
import { isMissing, launchChromium } from '../support/chromium.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { Random } from '../support/random.ts';
import { startServer } from '../support/running-server.ts';
import { Watch } from '../support/watch.ts';
import type * as tab from './browser/page.ts';
import { bundle } from './bundle.ts';

/** So long that a page on a busy machine does not take the server for silent. */
const ABANDON_MS = 60_000;

type Tab = typeof tab;

/** Calls a function of the program in the page. */
function call<Name extends keyof Tab>(
  page: Page,
  name: Name,
  ...args: Parameters<Tab[Name]>
): Promise<Awaited<ReturnType<Tab[Name]>>> {
  return page.evaluate(`tab.${name}(...${JSON.stringify(args)})`);
}

/** Serves pages with the program, from the origin that it returns. */
async function servePages(t: TestContext): Promise<string> {
  const { code } = await bundle('test/client/browser/page.ts', 'tab');
  const pages = createServer(({ url }, response) => {
    const isScript = url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? code : '<!doctype html><script src="page.js"></script>');
  });
  await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    pages.close();
    pages.closeAllConnections();
  });
  return `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
}

test('in Chromium', { skip: isMissing }, async (t) => {
  const [origin, browser] = await Promise.all([servePages(t), launchChromium(t)]);
  const [clock, watch] = [new FakeClock(), new Watch()];
  const server = await startServer(t, {
    clock,
    // No ping goes unanswered because the clock is moved.
    pingIntervalMs: 10 * ABANDON_MS,
    allowedOrigins: [origin],
    lockObserver: watch,
    clientObserver: watch,
  });
  const proxy = new CuttingProxy(new Random(1), server.address.port);
  proxy.isCutting = false;
  const url = `ws://127.0.0.1:${await proxy.listen(t)}/shop`;
  const context = await browser.newContext();

  const open = async (context: BrowserContext, abandonMs = ABANDON_MS): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(origin);
    await call(page, 'open', url, abandonMs);
    return page;
  };
  const first = await open(context);
  // Its heartbeat outlasts each step of the clock.
  const second = await open(context, 5 * ABANDON_MS);

  await t.test('withLock, inspect and watch', async () => {
    assert.deepEqual(await call(second, 'lookOn', 'orders'), {
      locks: ['acquired orders'],
      seen: ['acquired', 'released'],
    });
  });

  await t.test('two pages contend: a wait has a limit, and can be aborted', async () => {
    assert.match(await call(first, 'hold', 'a'), /^\d+$/);
    const enqueued = watch.count('enqueued');
    const limited = call(second, 'hold', 'a', 1000);
    await watch.until('enqueued', enqueued + 1);
    clock.advance(1000);
    assert.equal(await limited, 'LockTimeoutError');
    const aborted = call(second, 'hold', 'a');
    await watch.until('enqueued', enqueued + 2);
    await call(second, 'abort', 'a');
    assert.equal(await aborted, 'AbortError');
    const wait = call(second, 'hold', 'a');
    await watch.until('enqueued', enqueued + 3);
    await call(first, 'release', 'a');
    assert.match(await wait, /^\d+$/);
    await call(second, 'release', 'a');
    assert.equal(server.counts.enqueued, 0);
  });

  /** The second page waits for what `page` holds, and gets it when that page has been gone for long. */
  const outlive = async (page: Page, end: (page: Page) => Promise<void>): Promise<void> => {
    assert.match(await call(page, 'hold', 'b'), /^\d+$/);
    const [enqueued, gone] = [watch.count('enqueued'), watch.count('disconnected')];
    const wait = call(second, 'hold', 'b');
    await watch.until('enqueued', enqueued + 1);
    await end(page);
    await watch.until('disconnected', gone + 1);
    clock.advance(ABANDON_MS - 1);
    assert.equal(server.counts.enqueued, 1, 'it waits as long as the other page may believe');
    clock.advance(1);
    assert.match(await wait, /^\d+$/);
    await call(second, 'release', 'b');
  };

  await t.test(
    'a page is closed while it holds: its lock is granted after the abandon timeout',
    () => outlive(first, (page) => page.close()),
  );

  await t.test('a page crashes while it holds: the same', async () =>
    outlive(await open(context), crash),
  );

  const away = await browser.newContext();
  await away.clock.install();
  const third = await open(away);

  await t.test(
    'a page that was offline resumes its session, and still holds its lock',
    async () => {
      await call(third, 'hold', 'c');
      const session = await call(third, 'sessionId');
      const disconnected = call(third, 'next', 'disconnected');
      await away.setOffline(true);
      // What is connected already stays so in a browser that is said to be offline.
      proxy.cut();
      await disconnected;
      assert.equal(await call(third, 'hold', 'd', 1), 'UnreachableError');
      const resumed = call(third, 'next', 'resumed');
      await away.setOffline(false);
      await resumed;
      assert.deepEqual(await call(third, 'state', 'c'), { isHeld: true, reason: undefined });
      assert.equal(await call(third, 'sessionId'), session);
      assert.equal(await call(second, 'hold', 'c', 0), 'LockTimeoutError');
    },
  );

  await t.test('a page whose machine slept trusts its lock no more', async () => {
    const resumed = call(third, 'next', 'resumed');
    await away.clock.fastForward(ABANDON_MS);
    assert.deepEqual(await call(third, 'state', 'c'), { isHeld: false, reason: 'unconfirmed' });
    await resumed;
    const lastEvents = (await call(third, 'happened')).slice(-3);
    assert.deepEqual(lastEvents, ['lost', 'disconnected', 'resumed']);
    assert.match(await call(second, 'hold', 'c'), /^\d+$/, 'released once connected again');
  });

  await t.test('a page is refused where its origin is not allowed', async () => {
    const { port } = (await startServer(t)).address;
    const refused = call(second, 'open', `ws://127.0.0.1:${port}/shop`, ABANDON_MS);
    await assert.rejects(refused, /UnreachableError.*the origin/);
  });
});

/** The process of the page ends. */
async function crash(page: Page): Promise<void> {
  const crashed = new Promise((resolve) => page.once('crash', resolve));
  const session = await page.context().newCDPSession(page);
  // Not answered: what would answer it is gone.
  session.send('Page.crash').catch(() => {});
  await crashed;
}
