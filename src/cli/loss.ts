/** Notices when work under a lock has to stop, in time for it to end before another client's begins. */
import type { HeldLock } from '../client/index.ts';

export interface LossWatch {
  /** Looks at the clocks now: the process may have been suspended. */
  check(): void;
  stop(): void;
}

/** Milliseconds between two looks at the clocks: timers stop while a machine sleeps. */
const LOOK_MS = 1000;

/**
 * Calls `lost` once, when the server has reported the lock as lost, or has not answered for so long that
 * the lock might be lost before the work has stopped.
 *
 * @param graceMs milliseconds that the work may take to stop
 * @param lost is called with what happened, and the milliseconds after which no work may go on
 */
export function watchForLoss(
  lock: HeldLock,
  graceMs: number,
  lost: (why: string, leftMs: number) => void,
): LossWatch {
  const { signal } = lock;
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const stop = (): void => {
    isOver = true;
    clearTimeout(timer);
    signal.removeEventListener('abort', check);
  };
  const report = (why: string, leftMs: number): void => {
    stop();
    lost(why, leftMs);
  };
  const check = (): void => {
    if (isOver) return;
    clearTimeout(timer);
    const { leftMs } = lock;
    if (signal.aborted) {
      const { code, message } = signal.reason;
      // The server has said so, and may have granted it to another client already; nothing is gained
      // by less than the usual time. But what is unconfirmed is noticed too late.
      report(message, code === 'unconfirmed' ? 0 : graceMs);
    } else if (leftMs <= graceMs) {
      report('the server has not answered for so long that the lock may soon be lost', leftMs);
    } else {
      timer = setTimeout(check, Math.min(leftMs - graceMs, LOOK_MS));
    }
  };
  signal.addEventListener('abort', check);
  check();
  return { check, stop };
}
