/** The real program, which reports its memory, descriptors and handles on demand. */
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Program } from './program.ts';

const PROBE = fileURLToPath(new URL('probe.ts', import.meta.url));
const MAX_LOOKS = 30;
const NOTHING_LEFT = / 0 connections, 0 namespaces, 0 sessions, 0 locks held, 0 waiting/;

export interface Sample {
  /** Bytes in use, garbage not counted. */
  readonly heap: number;
  /** Bytes of resident memory. */
  readonly rss: number;
  readonly descriptors: number;
  readonly handles: number;
}

export class ProbedProgram extends Program {
  constructor(t: TestContext) {
    super(t, ['--port', '0', '--stats-interval', '1'], {}, [PROBE]);
  }

  async look(): Promise<Sample> {
    const from = this.stdout.length;
    this.child.kill('SIGUSR2');
    const [, json = ''] = await this.logged(/probe (.*)\n/, from);
    return JSON.parse(json);
  }

  /**
   * Looks until what it sees is right, or often enough: a file that is open for a moment, or a socket
   * that is not closed yet, is no leak.
   *
   * @param isRight by default, that as many files are open as the last time
   */
  async settled(
    isRight: (now: Sample, last: Sample) => boolean = (now, last) =>
      now.descriptors === last.descriptors,
  ): Promise<Sample> {
    let last = await this.look();
    for (let looks = 1; looks < MAX_LOOKS; looks++) {
      const now = await this.look();
      if (isRight(now, last)) return now;
      last = now;
    }
    return last;
  }

  /** The last line of numbers. */
  get gauges(): string | undefined {
    return [...this.stdout.matchAll(/\d+ connections, .* waiting/g)].at(-1)?.[0];
  }

  /** Waits until all clients have left and nothing is kept for them. */
  async empty(): Promise<void> {
    await this.logged(NOTHING_LEFT, this.stdout.length);
  }
}

export function told({ heap, rss, descriptors, handles }: Sample): string {
  return `${mib(heap)} MiB heap, ${mib(rss)} MiB RSS, ${descriptors} descriptors, ${handles} handles`;
}

export function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(2);
}
