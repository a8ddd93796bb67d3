/** What a bundler makes of the client for browsers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The source of what `locktopus/client` means in browsers, relative to the repository's root. */
export function browserEntry(): string {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const built: string = exports['./client'].browser.default;
  return built.replace(/^\.\/dist\//, '').replace(/\.js$/, '.ts');
}

export interface Bundle {
  /** A script that sets one global variable, `name`, to what `entry` exports. */
  readonly code: string;
  /** The files in it, relative to the repository's root. */
  readonly files: readonly string[];
}

/** Rejects if anything is imported from Node: there is no such thing in a browser. */
export async function bundle(entry: string, name: string): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    bundle: true,
    platform: 'browser',
    format: 'iife',
    globalName: name,
    metafile: true,
    write: false,
    logLevel: 'silent',
  });
  return { code: outputFiles[0]?.text ?? '', files: Object.keys(metafile.inputs) };
}
