/** The SCGI server, spoken to as a web server would, by TCP: a Unix socket has no reset, which is SCGI's broken answer. */
import type { App } from '../../src/protocol/types.ts';
import { head } from '../servers/scgi/client.ts';
import { serveScgi } from '../servers/scgi/serve.ts';
import { type Backend, type ContractRequest, type ContractResponse, withoutConnectionHeaders } from './backend.ts';
import { environ } from './environ.ts';

export const scgiBackend: Backend = {
  name: 'SCGI',
  keepsCase: false,
  async start(app: App) {
    const served = await serveScgi(app);
    return {
      log: served.log,
      async request(request: ContractRequest = {}): Promise<ContractResponse> {
        const client = await served.client();
        request.abort?.then(() => client.close());
        if (request.readAfter) {
          client.socket.pause();
          request.readAfter.then(() => client.socket.resume());
        }
        client.write(head([...environ(request, '0'), ['SCGI', '1']]));
        for (const piece of request.body ?? []) {
          await new Promise((resolve) => setImmediate(resolve));
          client.write(Buffer.from(piece as string));
        }
        // Less than was promised, and then nothing: a client that went away.
        if (request.declaredLength !== undefined) client.socket.end();
        const answer = await client.answer();
        return {
          status: answer.status,
          rawHeaders: withoutConnectionHeaders(answer.rawHeaders),
          body: answer.body,
          complete: answer.complete,
        };
      },
      close: () => served.close(),
    };
  },
};
