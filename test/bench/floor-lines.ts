/**
 * The floor of a line protocol in Node, as a program: a bare server that splits lines, parses each
 * as JSON if told to, and answers every one with the same line; all answers to one chunk in one write.
 * If it parses, `bye` ends the connection.
 *
 *     node floor-lines.js parse|plain REPLY
 */
import { Buffer } from 'node:buffer';
import { type AddressInfo, createServer } from 'node:net';
import { argv } from 'node:process';

const parses = argv[2] === 'parse';
const reply = `${argv[3] ?? ''}\n`;
/** The answers to so many lines at once. */
const replies = Array.from({ length: 1024 }, (_, count) => Buffer.from(reply.repeat(count)));

const server = createServer({ noDelay: true }, (socket) => {
  let partial = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
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
    if (count > 0) socket.write(replies[count] ?? reply.repeat(count));
    if (isLast) socket.end();
  });
});
// Many clients may connect at once: without a queue for them, it is the kernel's retries that are measured.
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(`listens on 127.0.0.1:${(server.address() as AddressInfo).port} `);
});
