/**
 * Preloaded into the program (`--import`): the disk takes only a part of a batch that has the word
 * "overfull" in it, as a full one does.
 */
import { Buffer } from 'node:buffer';
import { systemFiles } from '../../src/store/files.ts';

const { write } = systemFiles;

systemFiles.write = (fd, bytes, position) => {
  const isOverfull = Buffer.from(bytes).includes('overfull');
  return write(fd, isOverfull ? bytes.subarray(0, bytes.length / 2) : bytes, position);
};
