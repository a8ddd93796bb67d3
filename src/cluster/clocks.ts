/** The clocks of this process, for `Ownership`. */
import { uptime } from 'node:os';
import { systemClock } from '../runtime/clock.ts';
import type { Clocks } from './ownership-options.ts';

/** Read at most once a turn: it takes 16 us, the others a tenth. */
let uptimeMs: number | undefined;

export const systemClocks: Clocks = {
  clock: systemClock,
  wallMs: () => Date.now(),
  uptimeMs: () => {
    if (uptimeMs === undefined) {
      uptimeMs = uptime() * 1000;
      systemClock.nextTurn(() => {
        uptimeMs = undefined;
      });
    }
    return uptimeMs;
  },
};
