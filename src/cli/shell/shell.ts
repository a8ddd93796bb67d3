/** The shell: what is typed goes to the server, and what comes back is said in words. */
import { LocktopusError, RefusedError } from '../../client/errors.ts';
import { type InspectedLock, inspect, namespaces, STATS } from '../../client/inspect.ts';
import type { Path } from '../../client/resources.ts';
import { formatAge, resourcesText } from '../../operators/lock-text.ts';
import { pathText } from '../../operators/path-text.ts';
import { printable } from '../../operators/printable.ts';
import { onlyLock, waitingChain } from '../../operators/waiting-chain.ts';
import { noSuchLock, nothingText, writeChain } from '../chain-text.ts';
import { listLocks } from '../listing.ts';
import { stateCell } from '../lock-text.ts';
import { listNamespaces, statsText } from '../stats-text.ts';
import { renderTable } from '../text-table.ts';
import { type Actions, COMMANDS, type LockFields, runLine } from './commands.ts';
import type { ShellHost } from './host.ts';
import { Narrator } from './narrator.ts';

const LOCK_COLUMNS = [
  { heading: 'LOCK' },
  { heading: 'ID' },
  { heading: 'STATE' },
  { heading: 'FOR', align: 'right' },
  { heading: 'RESOURCES' },
] as const;

export class Shell implements Actions {
  readonly #host: ShellHost;
  readonly narrator: Narrator;

  /** @param isRaw shows every message from the beginning */
  constructor(host: ShellHost, isRaw: boolean) {
    this.#host = host;
    this.narrator = new Narrator(host, isRaw);
  }

  /** Does what a line says. Resolves with whether it succeeded: a lock, once it is acquired. */
  async run(line: string): Promise<boolean> {
    const text = line.trim();
    if (text === '' || text.startsWith('#')) return true;
    try {
      const result = runLine(text, this);
      if (typeof result !== 'string') return await result;
      this.narrator.mistake(result);
    } catch (error) {
      if (!(error instanceof LocktopusError)) throw error;
      this.narrator.mistake(error.message);
    }
    return false;
  }

  lock(fields: LockFields): Promise<boolean> {
    const { locks, questions } = this.narrator;
    questions.checkReady();
    const lock = locks.add(resourcesText(fields.resources, 0), undefined, this.#host.clock.now());
    // If the connection breaks first, the list of the resumed session says what became of it.
    questions.send({ action: 'lock', ref: lock.handle, ...fields }, (reply) =>
      this.narrator.lockChanged(lock, reply),
    );
    return lock.outcome;
  }

  async release(name: string | undefined): Promise<boolean> {
    const { fields } = await this.#answer({ action: 'release', id: this.#idOf(name) });
    this.narrator.released(String(fields.id));
    return true;
  }

  async extend(name: string | undefined, holdMs: number | null): Promise<boolean> {
    const { fields } = await this.#answer({ action: 'extend', id: this.#idOf(name), holdMs });
    const end = holdMs === null ? 'without a limit' : `for ${formatAge(holdMs)} from now`;
    const { handle } = this.narrator.locks.get(fields.id) ?? {};
    return this.#done(`${handle ?? String(fields.id)} is held ${end}`);
  }

  async locks(): Promise<boolean> {
    const nowMs = this.#host.clock.now();
    const rows = this.narrator.locks
      .all()
      .map(({ handle, id = '', state, text, sinceMs }) => [
        { text: handle },
        { text: id },
        stateCell(state === 'acquired' ? 'acquired' : 'enqueued'),
        { text: formatAge(nowMs - sinceMs) },
        { text },
      ]);
    if (rows.length === 0) return this.#done('no locks');
    this.#host.out(renderTable(LOCK_COLUMNS, rows, this.#host.paper()));
    return true;
  }

  async inspect(path: Path): Promise<boolean> {
    const locks = inspect(this.narrator.questions, { path });
    const count = await this.#written((out) => listLocks(locks, this.#host.paper(), out));
    return count > 0 || this.#done(nothingText(path));
  }

  async why(name: string | undefined): Promise<boolean> {
    const waiting = this.narrator.locks.all().filter(({ state }) => state === 'enqueued');
    const [only, ...others] = waiting;
    if (name === undefined && (only === undefined || others.length > 0)) {
      const hint = only === undefined ? 'none of your locks waits' : 'several of your locks wait';
      throw new LocktopusError('bad_request', `${hint}: name a lock, as in why #1`);
    }
    const id = this.#idOf(name ?? only?.handle) ?? '';
    const first = await this.#find(id);
    if (first === undefined) throw noSuchLock(id);
    const chain = waitingChain(first, (other) => this.#find(other));
    await this.#written((out) => writeChain(chain, this.#host.paper(), out));
    return true;
  }

  async watch(path: Path): Promise<boolean> {
    this.narrator.watching(await this.#answer({ action: 'watch', path }));
    return this.#done(`watching ${pathText(path)}; unwatch ${pathText(path)} ends it`);
  }

  async unwatch(path: Path): Promise<boolean> {
    this.narrator.watching(await this.#answer({ action: 'unwatch', path }));
    return this.#done(`no longer watching ${pathText(path)}`);
  }

  evict(name: string): Promise<boolean> {
    return this.#evict({ id: this.#idOf(name) });
  }

  evictSession(sessionId: string): Promise<boolean> {
    return this.#evict({ sessionId });
  }

  async namespaces(): Promise<boolean> {
    const all = namespaces(this.narrator.questions, {});
    await this.#written((out) => listNamespaces(all, this.#host.paper(), out));
    return true;
  }

  async stats(): Promise<boolean> {
    this.#host.out(statsText(await this.narrator.questions.ask(STATS), this.#host.paper()));
    return true;
  }

  async ping(): Promise<boolean> {
    const sentMs = this.#host.clock.now();
    await this.#answer({ action: 'ping' });
    return this.#done(`${(this.#host.clock.now() - sentMs).toFixed(1)} ms`);
  }

  async raw(isOn: boolean | undefined): Promise<boolean> {
    this.narrator.isRaw = isOn ?? !this.narrator.isRaw;
    return this.#done(this.narrator.isRaw ? 'showing every message' : 'showing no messages');
  }

  json(text: string): Promise<boolean> {
    return this.narrator.json(text);
  }

  async help(): Promise<boolean> {
    const rows = COMMANDS.map(({ name, usage, help }) => [
      { text: `${name} ${usage}`.trim() },
      { text: help },
    ]);
    const columns = [{ heading: 'COMMAND' }, { heading: 'WHAT IT DOES' }];
    this.#host.out(renderTable(columns, rows, this.#host.paper()));
    this.#host.out(HELP);
    return true;
  }

  async bye(): Promise<boolean> {
    this.#host.leave();
    return true;
  }

  /** The id of a lock that is named by its handle or its id. */
  #idOf(name: string | undefined): string | undefined {
    if (name === undefined || /^\d+$/.test(name)) return name;
    const { id } = this.narrator.locks.get(name) ?? {};
    if (id !== undefined) return id;
    throw new RefusedError('no_such_lock', `you have no lock ${printable(name)}; try locks`);
  }

  #answer(fields: { readonly action: string; readonly [name: string]: unknown }) {
    return this.narrator.questions.answer(fields);
  }

  #done(text: string): true {
    this.#host.out(`${text}\n`);
    return true;
  }

  #find(id: string): Promise<InspectedLock | undefined> {
    return onlyLock(inspect(this.narrator.questions, { id }));
  }

  async #evict(target: { readonly id?: string | undefined; readonly sessionId?: string }) {
    const { fields } = await this.#answer({ action: 'evict', ...target });
    return this.#done(`evicted; locks taken away: ${String(fields.locks)}`);
  }

  /** Writes what `work` writes in one piece, so that no news comes in between. */
  async #written<T>(work: (out: (text: string) => void) => Promise<T>): Promise<T> {
    let text = '';
    const result = await work((part) => {
      text += part;
    });
    if (text !== '') this.#host.out(text);
    return result;
  }
}

const HELP = `
A lock may have wait=10s, hold=1m, label=NAME and owner=NAME. In a path, \\/ is
a slash inside a segment. A line that begins with { is sent as it is:
{"action":"help"} lists what the server understands.
`;
