/**
 * The SCGI server with a client like a web server: a connection for each request. It uses TCP, because an aborted response is a reset,
 * which a Unix socket does not have.
 */
import type { App } from '../../../src/protocol/types.ts';
import { head } from '../../servers/scgi/client.ts';
import { type Served, serveScgi } from '../../servers/scgi/serve.ts';
import {
  type Backend,
  type ContractRequest,
  type ContractResponse,
  delayReading,
  oneByOne,
  withoutConnectionHeaders,
} from './backend.ts';
import { environ } from './environ.ts';

export const scgiBackend: Backend = {
  name: 'SCGI',
  keepsCase: false,
  keepsConnections: false,
  async start(app: App) {
    const served = await serveScgi(app);
    return {
      log: served.log,
      request: (request = {}) => ask(served, request),
      inTurn: (requests) => oneByOne(requests, (request) => ask(served, request)),
      close: () => served.close(),
    };
  },
};

async function ask(served: Served, request: ContractRequest): Promise<ContractResponse> {
  const client = await served.client();
  request.abort?.then(() => client.close());
  delayReading(request, client.socket);
  client.write(head([...environ(request, { withoutBody: '0', splits: false }), ['SCGI', '1']]));
  for (const piece of request.body ?? []) {
    await new Promise((resolve) => setImmediate(resolve));
    client.write(Buffer.from(piece as string));
  }
  // Less than the declared length, and then nothing: a client that has disconnected.
  if (request.declaredLength !== undefined) client.socket.end();
  const { status, rawHeaders, body, complete } = await client.answer();
  return { status, rawHeaders: withoutConnectionHeaders(rawHeaders), body, complete };
}
