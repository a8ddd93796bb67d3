/** A program in a web page, which a test drives through the functions that it exports. */
import { type Client, connect, type HeldLock, write } from '../../../src/client/browser.ts';

/** The page's one client. */
let client: Client;
const held = new Map<string, HeldLock>();
const controllers = new Map<string, AbortController>();
/** The client's events, in order. */
const events: string[] = [];

/** Resolves with the id of the session. */
export async function open(url: string, abandonTimeoutMs: number): Promise<string> {
  client = await connect(url, { abandonTimeoutMs });
  for (const name of ['disconnected', 'resumed', 'connected', 'lost'] as const) {
    client.on(name, () => events.push(name));
  }
  return client.sessionId;
}

/** Acquires `name`. Resolves with the id of the lock, or the name of the error. */
export async function hold(name: string, waitMs?: number): Promise<string> {
  const controller = new AbortController();
  controllers.set(name, controller);
  try {
    const lock = await client.lock(write(name), { waitMs, signal: controller.signal });
    held.set(name, lock);
    return lock.id;
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
}

/** Aborts the signal of the last `hold` of that name. */
export function abort(name: string): void {
  controllers.get(name)?.abort();
}

export async function release(name: string): Promise<void> {
  await held.get(name)?.release();
}

/** Whether `name` is held and, by its signal, why not. */
export function state(name: string): { isHeld: boolean; reason: string | undefined } {
  const lock = held.get(name);
  return { isHeld: lock?.isHeld ?? false, reason: lock?.signal.reason?.code };
}

/** Holds `name` while it asks the server who holds what, and watches that happen. */
export async function lookOn(name: string): Promise<{ locks: string[]; seen: string[] }> {
  const watched = client.watch({ path: [name] });
  const locks = await client.withLock(write(name), async () => {
    const list: string[] = [];
    for await (const { resources, state } of client.inspect({ path: [name] })) {
      list.push(`${state} ${resources[0]?.path.join('/')}`);
    }
    return list;
  });
  const seen: string[] = [];
  for await (const { event } of watched) {
    seen.push(event);
    if (event === 'released') break;
  }
  return { locks, seen };
}

/** Resolves at the next event of that name. */
export function next(name: 'disconnected' | 'resumed'): Promise<void> {
  return new Promise((resolve) => {
    const handler = (): void => {
      client.off(name, handler);
      resolve();
    };
    client.on(name, handler);
  });
}

/** The client's events so far, in order. */
export function happened(): string[] {
  return events;
}

export function sessionId(): string {
  return client.sessionId;
}
