/**
 * A file system in memory that knows what is on the disk and what is not yet, and that fails or
 * stops at a chosen call.
 */
import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import type { Files, OpenMode } from '../../src/store/files.ts';
import { Random } from './random.ts';

/** What happens at the chosen call. `cut`: the machine loses its power in the middle of it. */
export type Fault = 'EIO' | 'ENOSPC' | 'short' | 'cut';

const NEVER = new Promise<never>(() => {});

class Inode {
  /** As read by processes. */
  data: Buffer = Buffer.alloc(0);
  /** As on the disk. */
  durable: Buffer = Buffer.alloc(0);
}

type Names = Map<string, Inode>;

interface Descriptor {
  readonly path: string;
  /** Undefined for a directory. */
  readonly inode: Inode | undefined;
  readonly mode: OpenMode;
  /** Writes and flushes under way. */
  busy: number;
}

export class MemoryFiles implements Files {
  #names: Names = new Map();
  /** The names on the disk, and those that may or may not be there, each after one more change. */
  #durableNames: Names[] = [new Map()];
  /** Directories, and whether the names of each are sure to be on the disk. */
  readonly #directories = new Map<string, boolean>([['/', true]]);
  readonly #open = new Map<number, Descriptor>();
  #lastFd = 1000;
  /** Calls so far, without those that can't fail. */
  #calls = 0;
  #faultAt = 0;
  #fault: Fault = 'EIO';
  readonly #random: Random;
  /** Turns of the loop that each flush and rename takes. */
  slowness = 1;
  #isCut = false;
  #cut: () => void = () => {};
  /** Resolves when the power is cut. */
  readonly whenCut = new Promise<void>((resolve) => {
    this.#cut = resolve;
  });

  constructor(random = new Random(1)) {
    this.#random = random;
  }

  /** How many descriptors are open. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Whether the call that `failAt` has chosen has come. */
  get hasFailed(): boolean {
    return this.#faultAt > 0 && this.#calls >= this.#faultAt;
  }

  /** Lets the `at`-th call from now fail. */
  failAt(at: number, fault: Fault): void {
    this.#faultAt = this.#calls + at;
    this.#fault = fault;
  }

  /** All files, as processes read them. */
  contents(): Map<string, Buffer> {
    return new Map([...this.#names].map(([path, { data }]) => [path, data]));
  }

  put(path: string, data: Buffer): void {
    const inode = new Inode();
    inode.data = data;
    inode.durable = data;
    this.#directories.set(dirname(path), true);
    this.#names.set(path, inode);
    this.#durableNames = [new Map(this.#names)];
  }

  /** The files after the end of the process. */
  afterExit(): MemoryFiles {
    return this.#after(this.#names, ({ data }) => data);
  }

  /** The disk after the machine has lost its power: all that was not flushed is lost. */
  afterCrash(): MemoryFiles {
    return this.#after(this.#durableNames[0], ({ durable }) => durable);
  }

  /** The same, but any part of what was not flushed may be there. */
  afterAnyCrash(random: Random): MemoryFiles {
    const names = random.pick(this.#durableNames);
    return this.#after(names, ({ durable, data }) => mix(durable, data, random));
  }

  #after(names: Names = new Map(), kept: (inode: Inode) => Buffer): MemoryFiles {
    const after = new MemoryFiles(this.#random);
    for (const [path, inode] of names) {
      const isThere = this.#directories.get(dirname(path)) === true || names === this.#names;
      if (isThere) after.put(path, Buffer.from(kept(inode)));
    }
    return after;
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#call();
    if (!this.#directories.has(path)) this.#directories.set(path, false);
  }

  async open(path: string, mode: OpenMode): Promise<number> {
    await this.#call();
    const fd = ++this.#lastFd;
    if (mode === 'directory') {
      this.#open.set(fd, { path, inode: undefined, mode, busy: 0 });
      return fd;
    }
    let inode = this.#names.get(path);
    if (mode === 'create') {
      inode ??= new Inode();
      inode.data = Buffer.alloc(0);
      if (!this.#names.has(path)) this.#rename((names) => names.set(path, inode as Inode));
    }
    if (inode === undefined) throw systemError('ENOENT');
    this.#open.set(fd, { path, inode, mode, busy: 0 });
    return fd;
  }

  async size(fd: number): Promise<number> {
    await this.#call();
    return this.#inode(fd).data.length;
  }

  async mode(fd: number): Promise<number> {
    this.#descriptor(fd);
    await this.#call();
    return 0o700;
  }

  async read(fd: number, into: Uint8Array, position: number): Promise<number> {
    await this.#call();
    // Now and then fewer bytes than there are.
    const length = this.#random.oneIn(8) ? 1 + this.#random.below(into.length) : into.length;
    return this.#inode(fd).data.copy(into, 0, position, position + length);
  }

  async write(fd: number, bytes: Uint8Array, position: number): Promise<number> {
    if (this.#isCut) await NEVER;
    const { count, isFault, stored } = this.#write(fd, bytes, position);
    await this.#turn(fd);
    await this.#end(isFault && this.#fault !== 'short');
    stored();
    return count;
  }

  /** After a cut it throws, as it can't take for ever: its caller is thought to be gone. */
  writeNow(fd: number, bytes: Uint8Array, position: number): number {
    if (this.#isCut) throw systemError('EIO');
    const { count, isFault, stored } = this.#write(fd, bytes, position);
    if (isFault && this.#fault === 'cut') this.#cutNow();
    if (isFault && this.#fault !== 'short') throw systemError('EIO');
    stored();
    return count;
  }

  #write(fd: number, bytes: Uint8Array, position: number) {
    const isFault = this.#isFaultNow();
    const count = isFault ? this.#random.below(bytes.length) : bytes.length;
    const inode = this.#inode(fd);
    const { mode } = this.#descriptor(fd);
    assert.ok(mode === 'create' || mode === 'durable');
    const { data } = inode;
    const replaced = data.subarray(position, position + bytes.length);
    assert.ok(position <= data.length && isAllZeros(replaced), 'appends, or replaces zeros');
    const [before, after] = [data.subarray(0, position), data.subarray(position + count)];
    inode.data = Buffer.concat([before, bytes.subarray(0, count), after]);
    const stored = (): void => {
      if (mode === 'durable') inode.durable = inode.data;
    };
    return { count, isFault, stored };
  }

  async sync(fd: number): Promise<void> {
    const { inode, path } = this.#descriptor(fd);
    const data = inode?.data;
    await this.#turn(fd, this.slowness);
    await this.#call();
    if (inode === undefined) this.#syncDirectory(path);
    else inode.durable = data ?? inode.durable;
  }

  async rename(from: string, to: string): Promise<void> {
    if (this.#isCut) await NEVER;
    await someTurns(this.slowness - 1);
    const inode = this.#names.get(from);
    assert.ok(inode !== undefined);
    const isFault = this.#isFaultNow();
    const isDone = !isFault || this.#fault === 'cut';
    if (isDone) {
      this.#rename((names) => {
        names.set(to, inode);
        names.delete(from);
      });
    }
    await this.#end(isFault);
  }

  async remove(path: string): Promise<void> {
    await this.#call();
    this.#rename((names) => names.delete(path));
  }

  async close(fd: number): Promise<void> {
    assert.equal(this.#descriptor(fd).busy, 0, 'closed while it is written to');
    this.#open.delete(fd);
  }

  #syncDirectory(path: string): void {
    this.#durableNames = this.#durableNames.slice(-1);
    for (const directory of this.#directories.keys()) {
      if (dirname(directory) === path) this.#directories.set(directory, true);
    }
  }

  /** Other things go on while the disk writes. */
  async #turn(fd: number, turns = 1): Promise<void> {
    const descriptor = this.#descriptor(fd);
    descriptor.busy++;
    await someTurns(turns);
    descriptor.busy--;
  }

  #rename(change: (names: Names) => void): void {
    change(this.#names);
    this.#durableNames.push(new Map(this.#names));
  }

  #descriptor(fd: number): Descriptor {
    const descriptor = this.#open.get(fd);
    assert.ok(descriptor !== undefined, `descriptor ${fd} is not open`);
    return descriptor;
  }

  #inode(fd: number): Inode {
    const { inode } = this.#descriptor(fd);
    assert.ok(inode !== undefined);
    return inode;
  }

  #isFaultNow(): boolean {
    this.#calls++;
    return this.#calls === this.#faultAt;
  }

  #cutNow(): void {
    this.#isCut = true;
    this.#cut();
  }

  async #call(): Promise<void> {
    await this.#end(this.#isFaultNow());
  }

  async #end(isFault: boolean): Promise<void> {
    if (isFault && this.#fault === 'cut') this.#cutNow();
    if (this.#isCut) await NEVER;
    if (!isFault) return;
    throw systemError(this.#fault === 'short' ? 'EIO' : this.#fault);
  }
}

async function someTurns(turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}

function isAllZeros(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

/** `durable`, with some of what has been written since: in any order, and of any length. */
function mix(durable: Buffer, data: Buffer, random: Random): Buffer {
  if (data.length < durable.length || random.oneIn(4)) return random.oneIn(2) ? durable : data;
  const before = Buffer.alloc(data.length);
  durable.copy(before);
  const isNew = (byte: number, at: number): boolean => byte !== before[at];
  const [from, to] = [data.findIndex(isNew), data.findLastIndex(isNew) + 1];
  const middle = from + random.below(to - from + 1);
  const [first, second] = random.oneIn(3) ? [before, data] : [data, before];
  const mixed = Buffer.concat([first.subarray(0, middle), second.subarray(middle)]);
  return mixed.subarray(0, durable.length + random.below(data.length - durable.length + 1));
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: it has failed`), { code });
}
