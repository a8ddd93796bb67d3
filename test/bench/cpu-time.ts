/**
 * What a process has had of the processor, and how long it stood in line for one: read from /proc,
 * so that it works for every server, also for one that is not ours. Undefined where there is none.
 */
import { readdirSync, readFileSync } from 'node:fs';

export interface CpuTime {
  readonly atMs: number;
  /** Milliseconds on a processor, all threads together. */
  readonly ranMs: number;
  /** Milliseconds ready to run while something else did. */
  readonly waitedMs: number;
  /** Milliseconds by the kernel's coarse clock (10 ms): in the program, and in the kernel for it. */
  readonly userMs: number;
  readonly systemMs: number;
}

/** Clock ticks of /proc/PID/stat in a second, as Linux has them on every common machine. */
const MS_PER_TICK = 10;

export function cpuTimeOf(pid: number): CpuTime | undefined {
  let [ranNs, waitedNs] = [0, 0];
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const [ran, waited] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ');
      ranNs += Number(ran);
      waitedNs += Number(waited);
    }
    // The name may have blanks in it: the numbers begin behind its closing bracket.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return {
      atMs: performance.now(),
      ranMs: ranNs / 1e6,
      waitedMs: waitedNs / 1e6,
      userMs: Number(fields[11]) * MS_PER_TICK,
      systemMs: Number(fields[12]) * MS_PER_TICK,
    };
  } catch {
    return undefined;
  }
}

export interface Load {
  /** Milliseconds on a processor. */
  readonly ranMs: number;
  /** The share of the time in which it ran or wanted to: 1 is a process that never rested. */
  readonly busy: number;
  /** The share of the time on a processor that the kernel had; coarse. */
  readonly kernelShare: number;
}

const NOTHING_KNOWN: Load = { ranMs: Number.NaN, busy: Number.NaN, kernelShare: Number.NaN };

export function loadBetween(before: CpuTime | undefined, after: CpuTime | undefined): Load {
  if (before === undefined || after === undefined) return NOTHING_KNOWN;
  const ranMs = after.ranMs - before.ranMs;
  const wantedMs = ranMs + after.waitedMs - before.waitedMs;
  const systemMs = after.systemMs - before.systemMs;
  const bothMs = systemMs + after.userMs - before.userMs;
  const busy = wantedMs / (after.atMs - before.atMs);
  return { ranMs, busy, kernelShare: systemMs / bothMs };
}
