/**
 * Preloaded into the program (`--import`): the disk takes only a part of a batch that has the word
 * "overfull" in it, as a full one does.
 */
import { Buffer } from 'node:buffer';
import { systemFiles } from '../../src/store/files.ts';

const { write, writeNow } = systemFiles;

function taken(bytes: Uint8Array): Uint8Array {
  const end = Buffer.from(bytes).indexOf('overfull');
  return end === -1 ? bytes : bytes.subarray(0, end);
}

systemFiles.write = (fd, bytes, position) => write(fd, taken(bytes), position);
systemFiles.writeNow = (fd, bytes, position) => writeNow(fd, taken(bytes), position);
