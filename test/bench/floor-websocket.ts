/** The floor of WebSocket in Node, as a program: the `ws` package as an echo server. */
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
server.on('connection', (socket) => {
  socket.on('error', () => socket.terminate());
  socket.on('message', (data) => socket.send(data, { binary: false }));
});
server.on('listening', () => {
  console.log(`listens on 127.0.0.1:${(server.address() as AddressInfo).port} `);
});
