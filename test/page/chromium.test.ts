/**
 * The page in a real browser, against a server in this process. Skipped where Chromium isn't
 * installed; in CI it must be. Nothing that a client chose may become markup, nothing be asked of
 * other servers.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import type { BrowserContext, Page } from 'playwright-core';
import { connect, read, write } from '../../src/client/index.ts';
import type { Server } from '../../src/server.ts';
import { isMissing, launchChromium } from '../support/chromium.ts';
import { ownershipOf } from '../support/named-ownership.ts';
import { ownPort } from '../support/ports.ts';
import { compiledServer } from './compiled-server.ts';

/** As markup, each of these would be noticed. */
const MARKUP = `<img src=x onerror="globalThis.pwned=1"><script>globalThis.pwned=1</script>`;

/** What went wrong in the pages of a context. */
interface Watched {
  readonly context: BrowserContext;
  readonly faults: string[];
}

test('the page in Chromium', { skip: isMissing }, async (t) => {
  const [CompiledServer, browser] = await Promise.all([compiledServer(), launchChromium(t)]);
  const port = await ownPort();
  let server: Server = new CompiledServer({ port });
  await server.listen();
  t.after(() => server.close());
  const url = `locktopus://127.0.0.1:${port}/shop`;

  const watched = async (): Promise<Watched> => {
    const context = await browser.newContext({ reducedMotion: 'reduce' });
    const faults: string[] = [];
    context.on('request', (request) => {
      const { hostname } = new URL(request.url());
      if (!['127.0.0.1', 'localhost', ''].includes(hostname)) faults.push(request.url());
    });
    context.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    context.on('weberror', (error) => faults.push(error.error().message));
    context.on('dialog', (dialog) => faults.push(dialog.message()));
    return { context, faults };
  };
  const open = async ({ context }: Watched): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    return page;
  };
  /** Another view of the page that is open. */
  const show = (page: Page, hash: string): Promise<void> =>
    page.evaluate(`location.hash = ${JSON.stringify(hash)}; undefined`);
  const rowsOf = (page: Page) => page.locator('#live .row');
  const connected = (page: Page) => page.getByText(`Connected to 127.0.0.1:${port}`).first();

  const view = await watched();
  const till = await connect(url, { label: 'till' });
  const bill = await connect(url, { label: `bill ${MARKUP}` });
  t.after(() => Promise.all([till.close(), bill.close()]));
  const first = await till.lock(write('orders', 17), { label: 'checkout' });
  const page = await open(view);

  await t.test(
    'it opens the namespace in which something happens, and shows its locks',
    async () => {
      await connected(page).waitFor();
      await page.getByText('orders/17').waitFor();
      assert.match(page.url(), /#live\/shop$/);
      assert.deepEqual(
        await rowsOf(page)
          .allInnerTexts()
          .then((texts) => texts.length),
        2,
      );
    },
  );

  await t.test('it follows a contention: a waiter, whom it waits for, and its turn', async () => {
    const waiting = bill.lock(read('orders'), { label: MARKUP, owner: MARKUP });
    await page.getByText('behind till').waitFor();
    await first.release();
    const lock = await waiting;
    await page.getByText('behind till').waitFor({ state: 'detached' });
    await page.locator('.row.held', { hasText: 'bill <img src=x' }).waitFor();
    await lock.release();
    await page.getByText('No locks here at the moment').waitFor();
  });

  await t.test('whatever a client chose is shown as text', async () => {
    const odd = await connect(`locktopus://127.0.0.1:${port}`, {
      namespace: MARKUP,
      label: MARKUP,
    });
    await odd.lock(write(MARKUP, '\u202etxt'), { label: MARKUP, owner: MARKUP });
    await show(page, `live/${encodeURIComponent(MARKUP)}`);
    await page.getByText(`${MARKUP.replaceAll('/', '\\/')}/\\u{202e}txt`).waitFor();
    await page.locator('select', { hasText: MARKUP }).first().waitFor();
    assert.equal(await page.locator('img, main script').count(), 0);
    assert.equal(await page.evaluate('globalThis.pwned'), undefined);
    await odd.close();
    await show(page, 'live/shop');
  });

  await t.test('a click says why a lock waits, down to what is held', async () => {
    const held = await till.lock(write('orders', 17));
    const [second, third] = [bill.lock(read('orders')), till.lock(write('orders', 18))];
    await page.getByRole('treeitem', { name: /waiting write.*behind bill/ }).click();
    const details = page.getByRole('complementary', { name: 'Details of a lock' });
    await details.getByText('Held up by till').waitFor();
    const steps = await details.locator('.step').allInnerTexts();
    assert.match(steps.join('\n'), /bill <img.* waits.*r:orders.*till holds.*w:orders\/17/s);
    await page.keyboard.press('Escape');
    await details.waitFor({ state: 'hidden' });
    await held.release();
    await (await second).release();
    await (await third).release();
  });

  await t.test('by keyboard: rows are walked through, opened and collapsed', async () => {
    const locks = [await till.lock(write('a', 1)), await till.lock(write('b'))];
    await page.getByText('b', { exact: true }).waitFor();
    await page.getByRole('tree').focus();
    const active = (): Promise<string | null> =>
      page.evaluate('document.querySelector("#live .row.active")?.innerText');
    for (const key of ['Home', 'ArrowDown', 'ArrowLeft', 'ArrowLeft'])
      await page.keyboard.press(key);
    assert.match(String(await active()), /a\/1/);
    assert.equal(await rowsOf(page).count(), 3);
    for (const key of ['End', 'Enter']) await page.keyboard.press(key);
    await page.getByText('It is held, and waits for nothing.').waitFor();
    await page.getByRole('button', { name: 'Close' }).click();
    for (const lock of locks) await lock.release();
  });

  await t.test(
    'of many locks, those in sight have elements; the others come by scrolling',
    async () => {
      const locks = await Promise.all(
        Array.from({ length: 500 }, (_, i) => till.lock(write('n', i))),
      );
      await page.getByText('500 locks').waitFor();
      assert.ok((await rowsOf(page).count()) < 100);
      assert.equal(await page.getByText('499', { exact: true }).count(), 0);
      await page.getByRole('tree').focus();
      await page.keyboard.press('End');
      await page.getByText('499', { exact: true }).waitFor();
      await page.getByLabel('Path or client').fill('n/123');
      await page.getByText('n/123').waitFor();
      assert.equal(await rowsOf(page).count(), 2);
      await page.getByLabel('Path or client').fill('');
      await Promise.all(locks.map((lock) => lock.release()));
      await page.getByText('No locks here at the moment').waitFor();
    },
  );

  await t.test('the playground: two connections contend, and one is cut and resumed', async () => {
    await show(page, 'playground');
    const card = (label: string) => page.getByRole('region', { name: `Connection ${label}` });
    for (const label of ['A', 'B']) {
      await card(label).getByText('connected').waitFor();
      await card(label).getByRole('button', { name: 'Lock', exact: true }).click();
    }
    await card('A').locator('.own-lock.held', { hasText: 'w:orders/17' }).waitFor();
    await card('B').locator('.own-lock.waiting', { hasText: 'r:orders' }).waitFor();
    await page.getByRole('treeitem', { name: /waiting read.*behind A/ }).waitFor();
    await page.getByRole('button', { name: 'Cut A' }).click();
    await card('A').getByText('its locks are kept for').waitFor();
    await page.getByRole('button', { name: 'Resume A' }).click();
    await card('A')
      .getByRole('button', { name: /^Release w:orders/ })
      .click();
    await card('B').locator('.own-lock.held').waitFor();
    const messages = await card('B').getByRole('list', { name: 'Messages of B' }).innerText();
    assert.match(
      messages,
      /"action":"hello","session":"…".*"state":"enqueued".*"state":"acquired"/s,
    );
    await page.getByLabel('Resources, w to write, r to read').first().fill('w a r4 b/c x');
    const chips = card('A').locator('.chip');
    assert.deepEqual(await chips.locator('span').allInnerTexts(), ['w:a', 'r4:b/c', 'r4:x']);
    await page.getByRole('button', { name: 'Remove r4:b/c' }).click();
    assert.deepEqual(await chips.locator('span').allInnerTexts(), ['w:a', 'r4:x']);
    await page.getByRole('button', { name: 'Add a connection' }).click();
    await page.getByRole('button', { name: 'Remove C' }).click();
  });

  await t.test('the scenes of the playground end as they say', async () => {
    const ends = async (scene: string, ...locks: readonly string[]) => {
      await page.getByRole('button', { name: scene }).click();
      for (const lock of locks) {
        const [label, state, text] = lock.split(' ');
        const card = page.getByRole('region', { name: `Connection ${label}` });
        await card
          .locator(`.own-lock.${state}`, { hasText: text ?? '' })
          .first()
          .waitFor();
      }
    };
    await ends('A deadlock', 'A held w:a', 'A waiting w:b', 'B held w:b', 'B deadlock w:a');
    await page.getByText('"B" waits for "A" waits for "B"').first().waitFor();
    await ends('The convoy', 'A held w:b', 'B waiting w:a', 'C waiting w:a');
    await ends('Parent and child', 'A held w:orders/17', 'B waiting r:orders');
    await show(page, 'live/shop');
    assert.equal(await page.evaluate('globalThis.pwned'), undefined);
  });

  await t.test('until here, nothing went wrong and nothing was asked elsewhere', () => {
    assert.deepEqual(view.faults, []);
  });

  await t.test('when the server goes, it says so; when it is back, it goes on', async () => {
    await server.close();
    await page.getByText('Disconnected, trying again').first().waitFor();
    await page.getByText('trying again: the server can’t be reached').first().waitFor();
    assert.equal(await page.title(), 'disconnected, shop');
    // It is back, and waits: another one serves.
    const waiting = createServer((_request, response) => {
      response.writeHead(503, { 'Content-Type': 'text/plain' });
      response.end('The server at b:9009 serves now: connect there.\n');
    }).listen(port, '127.0.0.1');
    await page.getByText('trying again: the server at b:9009 serves now').first().waitFor();
    waiting.close();
    waiting.closeAllConnections();
    await once(waiting, 'close');
    server = new CompiledServer({ port });
    await server.listen();
    await connected(page).waitFor();
    const lock = await till.lock(write('after'));
    await page.getByText('after').waitFor();
    await lock.release();
  });

  await t.test('it says which of several servers serves', async () => {
    const member = new CompiledServer({ port: 0, ownership: ownershipOf('<b>b:9009') });
    await member.listen();
    t.after(() => member.close());
    const other = await view.context.newPage();
    await other.goto(`http://127.0.0.1:${member.address.port}/`);
    const text = `Connected to 127.0.0.1:${member.address.port}, served by <b>b:9009`;
    await other.getByText(text).first().waitFor();
    await other.close();
  });

  await t.test(
    'it asks for the tokens that it needs, and evicts after saying what that does',
    async () => {
      const [client, admin] = ['a-token-of-a-client', 'a-token-of-an-admin'];
      const guarded = new CompiledServer({ port: 0, tokens: [client], adminTokens: [admin] });
      await guarded.listen();
      t.after(() => guarded.close());
      const at = `locktopus://127.0.0.1:${guarded.address.port}/shop`;
      const [holder, waiter] = await Promise.all(
        ['holder', 'waiter'].map((label) => connect(at, { label, token: client })),
      );
      const held = await holder?.lock(write('a'));
      const waiting = waiter?.lock(write('a', 'b'));
      const other = await view.context.newPage();
      await other.goto(`http://127.0.0.1:${guarded.address.port}/`);
      const type = async (label: string, token: string) => {
        await other.getByLabel(label, { exact: true }).fill(token);
        await other.keyboard.press('Enter');
      };
      await other.getByText('This server requires a token.').waitFor();
      await type('Token', 'wrong');
      await other.getByText('This token is not valid.').waitFor();
      await type('Token', client);
      await other.getByRole('treeitem', { name: /held write/ }).click();
      await other.getByRole('button', { name: 'Evict this lock' }).click();
      const dialog = other.getByRole('dialog');
      const text = await dialog.innerText();
      assert.match(
        text,
        /holder \(.*\) loses\s+w:a, held for .*\s+Acquired next.*\s+waiter gets w:a\/b/,
      );
      await dialog.getByRole('button', { name: 'Evict the lock' }).click();
      await dialog.getByText('Only an administrator may evict.').waitFor();
      await type('Admin token', 'wrong');
      await dialog.getByText('This token is not valid.').waitFor();
      assert.equal(held?.signal.aborted, false);
      await type('Admin token', admin);
      const granted = await waiting;
      assert.equal(held?.signal.aborted, true);
      await dialog.waitFor({ state: 'hidden' });
      await other.getByText('behind holder').waitFor({ state: 'detached' });
      await other.getByText('This lock has ended.').waitFor();
      assert.equal(
        await other.evaluate('JSON.stringify([localStorage, sessionStorage])'),
        '[{},{}]',
      );
      assert.doesNotMatch(other.url(), /token/);
      await granted?.release();
      await Promise.all([holder?.close(), waiter?.close(), other.close()]);
    },
  );

  await t.test('axe finds nothing serious, light and wide, dark and narrow', async () => {
    const held = await till.lock(write('orders', 17), { label: 'checkout' });
    const waiting = bill.lock(read('orders'));
    // Colours don't depend on the width, so two of the four are enough.
    for (const [colorScheme, width] of [
      ['light', 1280],
      ['dark', 390],
    ] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 900 });
      await show(page, 'live/shop');
      await page.getByRole('treeitem', { name: /behind till/ }).click();
      await page.getByText('Held up by till').waitFor();
      assert.deepEqual(await faultsOf(page), [], colorScheme);
      await page.getByRole('button', { name: 'Evict this lock' }).click();
      assert.deepEqual(await faultsOf(page, 'dialog'), [], `${colorScheme}, dialog`);
      await page.keyboard.press('Escape');
      await show(page, 'playground');
      await page.getByRole('button', { name: 'A deadlock' }).click();
      await page.locator('.own-lock.deadlock').waitFor();
      assert.deepEqual(await faultsOf(page, '#playground'), [], `${colorScheme}, playground`);
      // Nothing is wider than the screen.
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width);
    }
    await held.release();
    await (await waiting).release();
  });
});

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds that is serious or critical. */
async function faultsOf(page: Page, selector = 'body'): Promise<string[]> {
  const levels = `['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']`;
  const options = `{ runOnly: ${levels}, resultTypes: ['violations'] }`;
  if (!(await page.evaluate('"axe" in globalThis'))) await page.evaluate(AXE);
  return page.evaluate(`axe.run('${selector}', ${options}).then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html.slice(0, 300)).join(' | ')))`);
}
