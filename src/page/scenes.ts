/** Scenes of the playground: who does what, and what there is to see. Pure. */

export interface SceneStep {
  /** The connection that asks, and for what, as one types it. */
  readonly who: string;
  readonly asks: string;
}

export interface Scene {
  readonly name: string;
  readonly steps: readonly SceneStep[];
  /** What has happened, and what to try. */
  readonly says: string;
}

export const SCENES: readonly Scene[] = [
  {
    name: 'Parent and child',
    steps: [
      { who: 'A', asks: 'w orders/17' },
      { who: 'B', asks: 'r orders' },
    ],
    says:
      'A writes orders/17. B wants to read orders, which covers all below it, orders/17 too: B ' +
      'waits. Release the lock of A, and B has its own at once.',
  },
  {
    name: 'The convoy',
    steps: [
      { who: 'A', asks: 'w b' },
      { who: 'B', asks: 'w a w b' },
      { who: 'C', asks: 'w a' },
    ],
    says:
      'A holds b. B wants a and b together, and waits for b. C wants a alone, which is free, ' +
      'but B was first: C must not overtake it. Release the lock of A, then that of B. Lock ' +
      'together only what must be held together.',
  },
  {
    name: 'A deadlock',
    steps: [
      { who: 'A', asks: 'w a' },
      { who: 'B', asks: 'w b' },
      { who: 'A', asks: 'w b' },
      { who: 'B', asks: 'w a' },
    ],
    says:
      'A holds a and waits for b, which B holds. If B waited for a, both would wait for ever: ' +
      'the server refuses that at once, and names the cycle. Release the lock of B on b, and A ' +
      'goes on.',
  },
];
