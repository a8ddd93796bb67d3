/** The server as it is compiled, whose page is compiled too: from its sources it has none. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Server } from '../../src/server.ts';
import { moduleFile } from '../support/compiled.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOURCES = join(ROOT, 'src/page');

/** The class `Server`. Fails if the page that it would serve is older than its sources. */
export async function compiledServer(): Promise<typeof Server> {
  const file = moduleFile('src/server.ts');
  const beside = join(file, '../page');
  const compiled = existsSync(join(beside, 'main.js')) ? beside : join(ROOT, 'dist/src/page');
  const isFresh = readdirSync(SOURCES)
    .filter((name) => /\.(ts|html|css)$/.test(name))
    .every((name) => {
      const made = statSync(join(compiled, name.replace(/\.ts$/, '.js')), {
        throwIfNoEntry: false,
      });
      return made !== undefined && made.mtimeMs >= statSync(join(SOURCES, name)).mtimeMs;
    });
  assert.ok(isFresh, 'the page is older than its sources: run npm run build');
  return ((await import(file)) as { Server: typeof Server }).Server;
}
