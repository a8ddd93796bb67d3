/**
 * The floor of a line protocol in Node, as a program: a bare server that splits lines, parses each
 * as JSON, and answers every one with the same line; all answers to one chunk in one write.
 *
 *     node floor-lines.js parsing|plain|twin REPLY
 *
 *  - `parsing`: as above. `bye` ends the connection.
 *  - `plain`: does not parse.
 *  - `twin`: parses, and reads and writes as our server does: all sockets into one buffer, and the
 *    answers once all of them are read. What is left between it and ours is the locks.
 */
import { Buffer } from 'node:buffer';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { argv } from 'node:process';
import { readShared } from '../../src/net/stream/shared-read.ts';

const parses = argv[2] !== 'plain';
const isTwin = argv[2] === 'twin';
const reply = `${argv[3] ?? ''}\n`;
/** The answers to so many lines at once. */
const replies = Array.from({ length: 1024 }, (_, count) => Buffer.from(reply.repeat(count)));

/** Of the twin: sockets with so many answers that are not written yet. */
let answered: (readonly [Socket, number])[] = [];

function answer(socket: Socket, count: number): void {
  socket.write(replies[count] ?? reply.repeat(count));
}

function answerAfterReading(socket: Socket, count: number): void {
  if (answered.push([socket, count]) > 1) return;
  setImmediate(() => {
    const all = answered;
    answered = [];
    for (const [each, lines] of all) answer(each, lines);
  });
}

const server = createServer({ noDelay: true }, (socket) => {
  let partial = '';
  socket.on('error', () => socket.destroy());
  const take = (chunk: Buffer): void => {
    const text = partial + chunk.toString('latin1');
    let [start, count] = [0, 0];
    let isLast = false;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      const line = text.slice(start, end);
      if (parses && JSON.parse(line).action === 'bye') isLast = true;
      count++;
      start = end + 1;
    }
    partial = start === text.length ? '' : text.slice(start);
    if (count > 0 && isTwin) answerAfterReading(socket, count);
    else if (count > 0) answer(socket, count);
    if (isLast) socket.end();
  };
  if (isTwin) readShared(socket, take);
  else socket.on('data', take);
});
// Many clients may connect at once: without a queue for them, it is the kernel's retries that are measured.
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(`listens on 127.0.0.1:${(server.address() as AddressInfo).port} `);
});
