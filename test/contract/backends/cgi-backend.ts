/**
 * The CGI server with its own streams and one request for each server, as if a web server started a program for each request.
 * `finished` stands for the exit status of the program: no web server can tell an aborted response of
 * unknown length from a complete one. If a client disconnects, the web server ends the program.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Logger, lineLogger } from '../../../src/log.ts';
import type { App } from '../../../src/protocol/types.ts';
import { serveCgi } from '../../../src/servers/cgi/server.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { parseCgi } from '../../helpers/requests/cgi-response.ts';
import {
  type Backend,
  type ContractRequest,
  type ContractResponse,
  delayReading,
  oneByOne,
  withoutConnectionHeaders,
} from './backend.ts';
import { environ } from './environ.ts';

export const cgiBackend: Backend = {
  name: 'CGI',
  keepsCase: false,
  keepsConnections: false,
  async start(app: App) {
    const path = join(temporaryDirectory(), 's');
    const pipes = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => pipes.listen(path, resolve));
    const log: string[] = [];
    const logger = lineLogger('debug', (line) => log.push(line));
    const ask = async (request: ContractRequest) => run(app, await pair(pipes, path), request, logger);
    return {
      log,
      request: (request = {}) => ask(request),
      inTurn: (requests) => oneByOne(requests, ask),
      close: () => new Promise((resolve) => pipes.close(() => resolve())),
    };
  },
};

/** Both ends of a connection: that of the web server, and standard input and output of the program. */
async function pair(server: Server, path: string): Promise<[Socket, Socket]> {
  const inner = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const outer = connect({ path, allowHalfOpen: true });
  outer.on('error', () => {});
  return [outer, await inner];
}

async function run(
  app: App,
  [outer, inner]: [Socket, Socket],
  request: ContractRequest,
  log: Logger,
): Promise<ContractResponse> {
  const parts: Buffer[] = [];
  outer.on('data', (part: Buffer) => parts.push(part));
  delayReading(request, outer);
  const pairs = environ(request, { withoutBody: '', splits: true }).flat();
  const running = serveCgi(app, pairs, { input: () => inner, output: inner }, log);
  request.abort?.then(() => running.close());
  for (const piece of request.body ?? []) {
    await new Promise((resolve) => setImmediate(resolve));
    outer.write(piece);
  }
  // Less than the declared length, and then nothing: a client that has disconnected.
  if (request.declaredLength !== undefined) outer.end();
  const succeeded = await (running.finished ?? Promise.resolve()).then(
    () => true,
    () => false,
  );
  inner.end();
  await new Promise((resolve) => outer.once('close', resolve).end());
  const { status, rawHeaders, body } = parseCgi(Buffer.concat(parts));
  return { status, rawHeaders: withoutConnectionHeaders(rawHeaders), body, complete: succeeded && status !== 0 };
}
