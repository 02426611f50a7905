/** The memory of paster's FastCGI server: during an upload that its application reads slowly, and for idle connections. */
import { request } from 'node:http';
import { createConnection } from 'node:net';

const MIB = 2 ** 20;

/**
 * Uploads this number of bytes. Returns by how many bytes the server's memory grew at most meanwhile.
 * @param {import('../measure/program.js').Program} program
 */
export async function uploadGrowth(url, bytes, program) {
  const before = program.memory().now;
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, program.memory().now);
  }, 50);
  const received = await upload(url, bytes);
  clearInterval(watch);
  if (received !== bytes) throw new Error(`the application received ${received} of ${bytes} bytes`);
  return Math.max(peak, program.memory().now) - before;
}

function upload(url, bytes) {
  return new Promise((resolve, reject) => {
    const req = request(url, { method: 'POST', headers: { 'Content-Length': bytes } }, async (res) => {
      let text = '';
      for await (const chunk of res) text += chunk;
      resolve(Number(text));
    });
    req.on('error', reject);
    const piece = Buffer.alloc(MIB / 4, 'x');
    let sent = 0;
    const more = () => {
      while (sent < bytes) {
        sent += piece.length;
        if (!req.write(piece)) {
          req.once('drain', more);
          return;
        }
      }
      req.end();
    };
    more();
  });
}

/** Opens this number of connections, each with one request, and keeps them. Returns the resident bytes for each. */
export async function idleConnection(socketPath, count) {
  const probe = await connect(socketPath);
  await ask(probe, '/');
  // The first connections also pay for code and buffers that later ones share, so they are not counted.
  const early = await many(socketPath, 100);
  for (const socket of early) socket.destroy();
  const before = Number(await ask(probe, '/'));
  const sockets = await many(socketPath, count);
  const after = Number(await ask(probe, '/'));
  for (const socket of [...sockets, probe]) socket.destroy();
  return (after - before) / count;
}

async function many(path, count) {
  const sockets = [];
  for (let i = 0; i < count; i++) {
    const socket = await connect(path);
    await ask(socket, '/');
    sockets.push(socket);
  }
  return sockets;
}

function connect(path) {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path }, () => resolve(socket));
    socket.once('error', reject);
  });
}

/** A record of request 1, of less than 256 bytes. */
function record(type, content) {
  return String.fromCharCode(1, type, 0, 1, 0, content.length, 0, 0) + content;
}

/** Sends a request on a kept connection. Returns the number in the body of the response. */
function ask(socket, uri) {
  const variables = { REQUEST_METHOD: 'GET', REQUEST_URI: uri, SERVER_PROTOCOL: 'HTTP/1.1' };
  const pairs = Object.entries(variables).map(
    ([name, value]) => String.fromCharCode(name.length, value.length) + name + value,
  );
  // BEGIN_REQUEST (a responder, KEEP_CONN), PARAMS and their end, an empty STDIN.
  socket.write(record(1, '\0\x01\x01\0\0\0\0\0') + record(4, pairs.join('')) + record(4, '') + record(5, ''), 'latin1');
  return new Promise((resolve) => {
    let answer = '';
    socket.on('data', function take(bytes) {
      answer += bytes.toString('latin1');
      // END_REQUEST: version 1, type 3, request 1.
      const end = answer.indexOf('\x01\x03\x00\x01');
      if (end === -1) return;
      socket.off('data', take);
      resolve(/\r\n\r\n(\d+)/.exec(answer)?.[1]);
    });
  });
}
