/**
 * How tests start programs of this repository in processes of their own: compiled to build/, as
 * `npm test` does first, since tsx costs 0.5 to 0.7 s of CPU in each process. By tsx if something
 * has changed since, and for coverage, which counts lines of the sources.
 */
import { readdirSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** A program that was started compiled starts others so, too: then `ROOT` is that of build/. */
const isCompiled = import.meta.url.endsWith('.js');
const COMPILED = isCompiled ? ROOT : join(ROOT, 'build');

const usesCompiled = isCompiled || (process.env.NODE_V8_COVERAGE === undefined && isUpToDate());

/**
 * The arguments with which Node runs a program in JavaScript that imports a `moduleFile`, in any
 * folder.
 */
export const LOADER: readonly string[] = usesCompiled
  ? []
  : ['--import', import.meta.resolve('tsx')];

/**
 * The arguments with which Node runs a module.
 *
 * @param file in TypeScript, absolute or relative to the repository's root
 * @param imports modules to load first, likewise
 */
export function nodeArgs(file: string, imports: readonly string[] = []): string[] {
  const before = imports.flatMap((module) => ['--import', moduleFile(module)]);
  return [...LOADER, ...before, moduleFile(file)];
}

/** The file that Node loads for `file`, which is absolute or relative to the repository's root. */
export function moduleFile(file: string): string {
  const source = resolve(ROOT, file);
  if (!usesCompiled) return source;
  return join(COMPILED, relative(ROOT, source).replace(/\.ts$/, '.js'));
}

/** Whether build/ was compiled after the last change of the sources and the tests' own modules. */
function isUpToDate(): boolean {
  const compiled = statSync(join(COMPILED, 'test/support/compiled.js'), { throwIfNoEntry: false });
  if (compiled === undefined) return false;
  const sources = ['src', 'bin', 'test'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => join(ROOT, folder, name)),
  );
  return sources.every((file) => statSync(file).mtimeMs < compiled.mtimeMs);
}
