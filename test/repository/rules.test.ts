/** Rules of the repository itself: which room may import which, and facts that stand in two places. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PAGE_MODULES } from '../../src/net/http/page-files.ts';
import { VERSION } from '../../src/version.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The rooms from low to high; a file may import from its own room and from lower ones. */
const ROOMS = [
  'src/version.ts',
  'src/runtime',
  'src/table',
  'src/session',
  'src/store',
  'src/cluster',
  'src/protocol',
  'src/client',
  'src/operators',
  'src/net',
  'src/server-options.ts',
  'src/server-host.ts',
  'src/readiness.ts',
  'src/server.ts',
  'src/cell-server.ts',
  'src/cli',
  'src/page',
  'src/index.ts',
  'bin',
];

function sourceFiles(): string[] {
  return ['src', 'bin'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );
}

function roomOf(file: string): number {
  const room = ROOMS.findIndex((name) => file === name || file.startsWith(`${name}/`));
  assert.notEqual(room, -1, `${file} is in no room: add it to the list`);
  return room;
}

function importsOf(text: string): string[] {
  return [...text.matchAll(/from '([^']+)'|import '([^']+)'/g)].map(
    (match) => match[1] ?? match[2] ?? '',
  );
}

test('a lower room never imports a higher one, and nothing is imported but Node itself', () => {
  for (const file of sourceFiles()) {
    for (const target of importsOf(readFileSync(join(ROOT, file), 'utf8'))) {
      if (target.startsWith('node:')) continue;
      assert.ok(target.startsWith('.'), `${file} imports ${target}: no runtime dependencies`);
      const imported = relative(ROOT, resolve(ROOT, dirname(file), target));
      assert.ok(roomOf(imported) <= roomOf(file), `${file} imports ${imported}, which is higher`);
    }
  }
});

test('no text of the repository cites a document that it lacks', () => {
  const texts = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join('test', name));
  const documents = readdirSync(ROOT).filter((name) => name.endsWith('.md'));
  for (const file of [...sourceFiles(), ...texts, ...documents]) {
    const text = readFileSync(join(ROOT, file), 'utf8');
    for (const [name] of text.matchAll(/\b[A-Z][A-Z0-9]+\.md\b/g)) {
      assert.ok(documents.includes(name), `${file} cites ${name}`);
    }
  }
});

/** The files that each file imports; those of which it needs types alone, too, if `withTypes`. */
function importGraph(withTypes: boolean): Map<string, string[]> {
  return new Map(
    sourceFiles().map((file) => {
      const text = readFileSync(join(ROOT, file), 'utf8');
      const statements = text.matchAll(/^(?:import|export) (type )?[^;]*?from '(\.[^']+)';/gms);
      const targets = [...statements]
        .filter(([, isType]) => withTypes || isType === undefined)
        .map(([, , target = '']) => relative(ROOT, resolve(ROOT, dirname(file), target)));
      return [file, targets];
    }),
  );
}

/** The files from which an import leads back to them. */
function filesInCircles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const reaches = (from: string, to: string): boolean => {
    const seen = new Set<string>();
    const toVisit = [...(graph.get(from) ?? [])];
    for (const file of toVisit) {
      if (file === to) return true;
      if (seen.has(file)) continue;
      seen.add(file);
      toVisit.push(...(graph.get(file) ?? []));
    }
    return false;
  };
  return [...graph.keys()].filter((file) => reaches(file, file));
}

test('no circle of imports at run time; of types only where a lock, its node and its session meet', () => {
  assert.deepEqual(filesInCircles(importGraph(false)), []);
  const known = /^src\/(table\/(lock|path-node|queue)|session\/[a-z-]+)\.ts$/;
  assert.deepEqual(
    filesInCircles(importGraph(true)).filter((file) => !known.test(file)),
    [],
  );
});

test('the client takes nothing of the server but types', () => {
  for (const file of sourceFiles().filter((name) => name.startsWith('src/client/'))) {
    const text = readFileSync(join(ROOT, file), 'utf8');
    for (const [statement, target = ''] of text.matchAll(/^(?:im|ex)port [^;]*'(\.[^']+)';/gm)) {
      const imported = relative(ROOT, resolve(ROOT, dirname(file), target));
      const isOwn = imported.startsWith('src/client/');
      assert.ok(isOwn || statement.startsWith('import type '), `${file}: ${statement}`);
    }
  }
});

/** `files`, and all that is loaded with them. */
function loadedBy(files: readonly string[]): string[] {
  const graph = importGraph(false);
  const loaded = [...files];
  for (const file of loaded) {
    for (const target of graph.get(file) ?? []) if (!loaded.includes(target)) loaded.push(target);
  }
  return loaded;
}

test('the page imports what it shows from the client alone, and nothing imports the page', () => {
  for (const file of sourceFiles()) {
    const isPage = file.startsWith('src/page/');
    for (const target of importsOf(readFileSync(join(ROOT, file), 'utf8'))) {
      const imported = relative(ROOT, resolve(ROOT, dirname(file), target));
      if (isPage) assert.match(imported, /^src\/(page|operators|client)\//, file);
      else assert.doesNotMatch(imported, /^src\/page\//, file);
    }
  }
});

test('the server serves the modules that the page imports, and no others', () => {
  const loaded = loadedBy(['src/page/main.ts']);
  const served = Object.entries(PAGE_MODULES).flatMap(([folder, names]) =>
    names.split(/\s+/).map((name) => `src/${folder}/${name}.ts`),
  );
  assert.deepEqual(served.toSorted(), loaded.toSorted());
});

test('the server loads what few need only when it is needed, so that it starts quickly', () => {
  const loaded = loadedBy(['src/cli/serve-program.ts']);
  assert.ok(loaded.includes('src/server.ts'));
  for (const file of loaded) {
    const text = readFileSync(join(ROOT, file), 'utf8');
    assert.doesNotMatch(text, /^import (?!type )[^;]*'node:(cluster|child_process|zlib)'/m, file);
  }
});

test('a verb loads the client and nothing of the server, so that it starts quickly', () => {
  // `store check` reads a directory, and talks to no server.
  const verbs = sourceFiles().filter(
    (file) => file.startsWith('src/cli/verbs/') && file !== 'src/cli/verbs/store.ts',
  );
  const loaded = loadedBy(['bin/locktopus.ts', 'src/cli/program.ts', ...verbs]);
  const others = loaded.filter((file) => !/^(bin|src\/(cli|client|operators))\//.test(file));
  assert.deepEqual(others, []);
  assert.ok(loaded.includes('src/client/index.ts') && !loaded.includes('src/cli/serve.ts'));
});

test('every module opens with what it is for', () => {
  for (const file of sourceFiles()) {
    const text = readFileSync(join(ROOT, file), 'utf8').replace(/^#!.*\n/, '');
    assert.ok(text.startsWith('/**'), file);
  }
});

test('the wall clock, which may be set, is asked for the first id, for stamps of the log, and beside all other clocks', () => {
  const uses = sourceFiles().flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .filter((line) => /^[^*]*(Date\.now\(|new Date\()/.test(line))
      .map((line) => `${file}: ${line.trim()}`),
  );
  const allowed = [
    /wallNow: \(\) => Date\.now\(\)/,
    /IdCounter\(Date\.now\(\)\)/,
    /new Date\(\)\.toISOString\(\)/,
    /cluster\/clocks\.ts: wallMs: \(\) => Date\.now\(\)/,
  ];
  assert.deepEqual(
    uses.filter((line) => !allowed.some((pattern) => pattern.test(line))),
    [],
  );
});

/** The clock itself, and what a simulation of clients replaces as a whole. */
const TURNS_OF_THEIR_OWN = ['src/runtime/clock.ts', 'src/client/transport-socket.ts'];

test('the turns of the loop come from the clock, so that a test can drive them', () => {
  for (const file of sourceFiles()) {
    if (TURNS_OF_THEIR_OWN.includes(file)) continue;
    const text = readFileSync(join(ROOT, file), 'utf8');
    assert.doesNotMatch(text, /\b(setImmediate|queueMicrotask|nextTick)\(/, file);
  }
});

test('the version is the one of package.json, which has no runtime dependencies', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  assert.equal(manifest.version, VERSION);
  assert.equal(manifest.dependencies, undefined);
  assert.ok(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8').includes(`## ${VERSION}`));
});

test('no memory goes out that was not written: nothing is allocated without being cleared', () => {
  for (const file of sourceFiles()) {
    assert.doesNotMatch(readFileSync(join(ROOT, file), 'utf8'), /\b(allocUnsafe|SlowBuffer)/, file);
  }
});
