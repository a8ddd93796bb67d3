/** The programs of the README, run as they are printed there. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LOADER, moduleFile } from './compiled.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export function documentOf(name: string): string {
  return readFileSync(join(ROOT, name), 'utf8');
}

/** The section of a document under that title, without the title. */
export function sectionOf(markdown: string, title: string): string {
  const [, section] = markdown.split(`\n## ${title}\n`);
  return section?.split('\n## ')[0] ?? assert.fail(`no section ${title}`);
}

/** A program that runs, and what it has printed. */
export class RunningProgram {
  readonly child: ChildProcess;
  output = '';

  /** The end of the test kills it. */
  constructor(t: TestContext, command: string, args: readonly string[]) {
    this.child = spawn(command, args, { cwd: ROOT });
    const streams = [this.child.stdout, this.child.stderr];
    t.after(() => {
      this.child.kill('SIGKILL');
      // A helper process of tsx may outlive it, and would keep them open.
      for (const stream of streams) stream?.destroy();
    });
    for (const stream of streams) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
  }

  /** Waits until its output matches; fails if it ends before. */
  async printed(pattern: RegExp): Promise<void> {
    const { stdout, stderr } = this.child;
    assert.ok(stdout !== null && stderr !== null);
    while (!pattern.test(this.output)) {
      assert.ok(!stdout.readableEnded, this.output);
      await Promise.race([once(stdout, 'data'), once(stderr, 'data'), once(stdout, 'end')]);
    }
  }

  /** Its whole output, when it has ended. */
  async ended(): Promise<string> {
    await once(this.child, 'close');
    return this.output;
  }
}

/** Runs a program in JavaScript, with the package's source and the server on `port`. */
export function runProgram(t: TestContext, text: string, port: number): RunningProgram {
  const folder = mkdtempSync(join(ROOT, 'test/docs/program-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'program.mjs');
  const program = text
    .replaceAll('9009', String(port))
    .replace("'locktopus'", `'${moduleFile('src/index.ts')}'`)
    .replace("'locktopus/client'", `'${moduleFile('src/client/index.ts')}'`);
  writeFileSync(file, program);
  return new RunningProgram(t, process.execPath, [...LOADER, file]);
}
