/**
 * Forwards a request by FastCGI, as a web server does: to paster's server in this process, over a Unix socket and over
 * connections that are kept.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environFromRequest } from '../../src/gateway/environ.ts';
import {
  END_REQUEST,
  encodeBeginRequest,
  encodePairs,
  encodeRecord,
  encodeStream,
  PARAMS,
  RESPONDER,
  RecordDecoder,
  STDIN,
  STDOUT,
} from '../../src/servers/fastcgi/records.ts';
import { makeFastcgiServer } from '../../src/servers/fastcgi/server.ts';

const ID = 1;
const PATIENCE_MS = 3000;

/** Headers about the connection between the application and its server, and those that the web server sets itself. */
const OF_THE_CONNECTION = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date']);

let directory;
let sockets = 0;

/** A new path of a Unix socket for each server. The directory is removed when the process ends. */
function socketPath() {
  if (directory === undefined) {
    directory = mkdtempSync(join(tmpdir(), 'paster-suite-'));
    process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  }
  return join(directory, String(sockets++));
}

const { value: settings } = makeFastcgiServer.settings['~standard'].validate({});

export class FastcgiDetour {
  #listening;
  #idle = [];

  constructor(listener) {
    this.#listening = new Promise((resolve) => {
      const path = socketPath();
      const server = createServer();
      // The client's connection keeps the process alive, and the server's does not.
      server.on('connection', (socket) => socket.unref());
      server.listen(path, async () => {
        await makeFastcgiServer({}, settings).serve(listener, [server]);
        resolve(path);
      });
      server.unref();
    });
  }

  async forward(req, res) {
    const path = await this.#listening;
    if (res.destroyed) return;
    const socket = this.#idle.pop() ?? connect(path).on('error', () => {});
    socket.ref();
    const answer = new CgiAnswer(res);
    const decoder = new RecordDecoder((type, _id, content) => {
      if (type === STDOUT && content.length > 0) answer.push(content);
      if (type !== END_REQUEST) return;
      release();
      answer.end();
    });
    const onData = (bytes) => decoder.push(bytes);
    const onClose = () => {
      release();
      // Like nginx: 502 if nothing has arrived, and an aborted response otherwise.
      answer.abort();
    };
    const onGone = () => socket.destroy();
    // A request that gets no response must not keep the process alive.
    const patience = setTimeout(() => socket.unref(), PATIENCE_MS);
    const release = () => {
      clearTimeout(patience);
      socket.off('data', onData).off('close', onClose);
      res.off('close', onGone);
      req.off('data', onBody).off('end', onEnd);
      if (socket.destroyed) return;
      socket.unref();
      this.#idle.push(socket);
      req.resume();
    };
    const onBody = (bytes) => {
      if (socket.destroyed || bytes.length === 0) return;
      if (socket.write(encodeStream(STDIN, ID, Buffer.from(bytes)))) return;
      req.pause();
      socket.once('drain', () => req.resume());
    };
    const onEnd = () => socket.write(encodeRecord(STDIN, ID));
    socket.on('data', onData).on('close', onClose);
    res.on('close', onGone);
    const environ = environFromRequest(req, { serverSoftware: 'nginx/1.22.1' });
    socket.write(
      Buffer.concat([
        encodeBeginRequest(ID, RESPONDER, true),
        encodeStream(PARAMS, ID, encodePairs(Object.entries(environ).flat())),
        encodeRecord(PARAMS, ID),
      ]),
    );
    req.on('data', onBody).on('end', onEnd);
  }
}

/** A CGI response (RFC 3875 section 6) on its way to a client. */
class CgiAnswer {
  #res;
  #head = Buffer.alloc(0);
  #started = false;

  constructor(res) {
    this.#res = res;
  }

  push(bytes) {
    if (this.#started) {
      this.#res.write(Buffer.from(bytes));
      return;
    }
    this.#head = Buffer.concat([this.#head, bytes]);
    const end = this.#head.indexOf('\r\n\r\n');
    if (end === -1) return;
    const rest = this.#head.subarray(end + 4);
    this.#start(this.#head.subarray(0, end).toString('latin1'));
    if (rest.length > 0) this.#res.write(rest);
  }

  #start(head) {
    this.#started = true;
    let status = '200 OK';
    for (const line of head.split('\r\n')) {
      const colon = line.indexOf(':');
      const [name, value] = [line.slice(0, colon), line.slice(colon + 1).trimStart()];
      if (name === 'Status') status = value;
      else if (!OF_THE_CONNECTION.has(name.toLowerCase())) this.#res.appendHeader(name, value);
    }
    this.#res.writeHead(Number.parseInt(status, 10), status.slice(4));
    this.#res.flushHeaders();
  }

  end() {
    if (!this.#started) this.#res.statusCode = 502;
    this.#res.end();
  }

  abort() {
    if (this.#started) this.#res.destroy();
    else this.end();
  }
}
