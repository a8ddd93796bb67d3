/**
 * A process that runs a number of chaos clients, each followed by the next, until it must finish.
 * It may be killed or stopped at any moment. Its history file has what its clients observed.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../support/random.ts';
import { ChaosClient, Over, type Wanted } from './client.ts';
import { GuardClient } from './guard.ts';
import { HistoryFile } from './history.ts';
import { LibraryClient } from './library-client.ts';
import {
  type Character,
  drawCharacter,
  drawCounter,
  drawIdleCharacter,
  drawResources,
  drawTerms,
  isOfLibrary,
} from './script.ts';

/** The parameters of a process, on its command line as JSON. */
export interface Orders {
  /** The prefix of its clients' names. */
  readonly name: string;
  readonly seed: number;
  readonly port: number;
  readonly proxyPort: number;
  readonly guardPort: number;
  readonly historyPath: string;
  /** Clients at a time. */
  readonly places: number;
  /** Milliseconds for open requests once it must finish. */
  readonly patienceMs: number;
  /** See `drawCharacter`. */
  readonly isPatient: boolean;
  /** See `drawIdleCharacter`. */
  readonly isIdle: boolean;
}

/** The longest time, in milliseconds, that a client works under a lock, and rests after one. */
const WORK_MS = 12;
/** The shortest time that an idle one works, and what it may take longer. */
const IDLE_MS = 15_000;
const MORE_IDLE_MS = 15_000;
const IDLE_PATHS = ['a', 'b'];

const orders: Orders = JSON.parse(process.argv[2] ?? '{}');
const history = new HistoryFile(orders.historyPath);
const guard = new GuardClient(orders.guardPort);
let isFinishing = false;
let lives = 0;

/** One client from its first connection to its end. */
async function live(random: Random): Promise<void> {
  const character = drawCharacter(random, orders.isPatient);
  const port = character.isBehindProxy ? orders.proxyPort : orders.port;
  if (isOfLibrary(character.kind)) {
    await liveByLibrary(character, port, random);
    return;
  }
  const client = new ChaosClient(`${orders.name}.${++lives}`, character, port, history);
  try {
    for (let i = 0; i < character.locks && !isFinishing; i++) {
      await lockOnce(client, character, random);
      await delay(random.below(WORK_MS));
    }
    if (character.leavesLocks && !isFinishing) await startOne(client, character, random);
    await client.leave();
  } catch (error) {
    if (!(error instanceof Over)) throw error;
  }
}

/** The same, with the client library. */
async function liveByLibrary(character: Character, port: number, random: Random): Promise<void> {
  const name = `${orders.name}.${++lives}`;
  const client = await LibraryClient.connect(name, character, port, history);
  for (let i = 0; i < character.locks && !isFinishing; i++) {
    const resources = drawResources(random, true);
    const counter = drawCounter(random, resources);
    const signal = random.oneIn(8) ? AbortSignal.timeout(random.below(30)) : undefined;
    await client.hold(resources, drawTerms(random), signal, async (id, isHeld) => {
      const aWhile = async (): Promise<void> => {
        for (let looks = random.below(4); looks > 0 && isHeld(); looks--) {
          await delay(random.below(WORK_MS));
        }
      };
      if (counter === undefined) await aWhile();
      else await guard.increment(`${character.namespace}/${counter.join('/')}`, id, aWhile);
    });
    await delay(random.below(WORK_MS));
  }
  if (!character.leavesLocks) await client.settle();
  await client.leave();
}

function startOne(client: ChaosClient, { kind }: Character, random: Random): Promise<void> {
  const terms = kind === 'v1' ? {} : drawTerms(random);
  const wanted = client.want(drawResources(random, kind !== 'v1'), terms);
  return client.until(() => wanted.state !== 'asked');
}

async function lockOnce(client: ChaosClient, character: Character, random: Random): Promise<void> {
  const { kind } = character;
  const isOwned = kind !== 'v1' && random.oneIn(6);
  const terms = kind === 'v1' ? {} : drawTerms(random);
  const owner = isOwned ? { owner: `job-${random.below(2)}` } : {};
  const wanted = client.want(drawResources(random, kind !== 'v1'), { ...terms, ...owner });
  const isSettled = (): boolean => wanted.state === 'acquired' || wanted.state === 'ended';
  if (random.oneIn(8)) {
    // Cancels the wait, perhaps at the very moment of the grant.
    await Promise.race([client.until(isSettled), delay(random.below(30))]);
  } else await client.until(isSettled);
  if (wanted.state === 'acquired') {
    await work(client, character, wanted, random);
    // A second lock while the first is held; a deadlock is refused, or times out.
    if (isOwned) {
      const more = client.want(drawResources(random, true), { ...owner, waitMs: 50 });
      await client.until(() => more.state === 'acquired' || more.state === 'ended');
      client.release(more);
      await client.until(() => more.state === 'ended');
    }
  }
  if (wanted.terms.holdMs === undefined || random.oneIn(2)) client.release(wanted);
  await client.until(() => wanted.state === 'ended');
}

/** Adds one to a guarded counter, in the belief that it holds the lock throughout. */
async function work(
  client: ChaosClient,
  { namespace }: Character,
  { id = 0, resources }: Wanted,
  random: Random,
): Promise<void> {
  client.ping();
  const counter = drawCounter(random, resources);
  const aWhile = (): Promise<void> => delay(random.below(WORK_MS));
  if (counter === undefined) await aWhile();
  else await guard.increment(`${namespace}/${counter.join('/')}`, id, aWhile);
}

/** One idle client: it has one of a few locks for long. */
async function liveIdly(random: Random): Promise<void> {
  const name = `${orders.name}.${++lives}`;
  const client = new ChaosClient(name, drawIdleCharacter(random), orders.port, history);
  try {
    const wanted = client.want([{ type: 'write', path: [random.pick(IDLE_PATHS)] }], {});
    await client.until(() => wanted.state === 'acquired' || isFinishing);
    const untilMs = performance.now() + IDLE_MS + random.below(MORE_IDLE_MS);
    while (wanted.state === 'acquired' && !isFinishing && performance.now() < untilMs) {
      await delay(100);
    }
    client.release(wanted);
    await client.until(() => wanted.state === 'ended');
    await client.leave();
  } catch (error) {
    if (!(error instanceof Over)) throw error;
  }
}

async function keepPlace(random: Random): Promise<void> {
  while (!isFinishing) {
    await (orders.isIdle ? liveIdly(random) : live(random));
    await delay(random.below(WORK_MS));
  }
}

process.on('message', () => {
  isFinishing = true;
  // Requests that still wait are in the history.
  setTimeout(() => process.exit(), orders.patienceMs).unref();
});
process.send?.('ready');
await Promise.all(
  Array.from({ length: orders.places }, (_, i) => keepPlace(new Random(orders.seed + i))),
);
guard.close();
process.disconnect();
