/** The FastCGI server with a client like a web server: CGI variables over one connection for each request, or one for several. */
import type { App } from '../../../src/protocol/types.ts';
import { begin, type FastcgiClient, pairs, record, stream, TYPE } from '../../servers/fastcgi/client.ts';
import { serveFastcgi } from '../../servers/fastcgi/serve.ts';
import {
  type Backend,
  type ContractRequest,
  type ContractResponse,
  delayReading,
  oneByOne,
  withoutConnectionHeaders,
} from './backend.ts';
import { environ } from './environ.ts';

export const fastcgiBackend: Backend = {
  name: 'FastCGI',
  keepsCase: false,
  keepsConnections: true,
  async start(app: App) {
    const served = await serveFastcgi(app);
    return {
      log: served.log,
      async request(request: ContractRequest = {}): Promise<ContractResponse> {
        const client = await served.client();
        const answer = await ask(client, request);
        client.close();
        return answer;
      },
      async inTurn(requests) {
        const client = await served.client();
        const answers = await oneByOne(requests, (request) => ask(client, request));
        client.close();
        return answers;
      },
      close: () => served.close(),
    };
  },
};

async function ask(client: FastcgiClient, request: ContractRequest): Promise<ContractResponse> {
  request.abort?.then(() => client.close());
  delayReading(request, client.socket);
  const variables = environ(request, { withoutBody: '', splits: false });
  client.write(begin(1), stream(TYPE.params, 1, pairs(variables)), record(TYPE.params, 1));
  for (const piece of request.body ?? []) {
    await new Promise((resolve) => setImmediate(resolve));
    client.write(stream(TYPE.stdin, 1, Buffer.from(piece as string)));
  }
  client.write(record(TYPE.stdin, 1));
  const answer = await client.answer(1, 20_000);
  return {
    status: answer.status,
    rawHeaders: withoutConnectionHeaders(answer.rawHeaders),
    body: answer.body,
    complete: answer.end !== undefined && answer.status !== 0,
  };
}
