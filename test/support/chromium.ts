/** A real browser for tests, where it is installed; in CI it must be. */
import { existsSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { type Browser, chromium } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';

/** Why tests in the browser are skipped; false if they are not. */
export const isMissing: string | false =
  !existsSync(CHROMIUM) && process.env.CI === undefined && `${CHROMIUM} is not installed`;

/** A browser that is closed when the test ends. */
export async function launchChromium(t: TestContext): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--disable-gpu'],
    // Its sandbox refuses to run as root.
    chromiumSandbox: process.getuid?.() !== 0,
  });
  t.after(() => browser.close());
  return browser;
}
