/** The HTTP server with `http2 = true`, without TLS. */
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { lineLogger } from '../../../src/log.ts';
import type { App } from '../../../src/protocol/types.ts';
import { serveHttp2 } from '../../helpers/requests/http2.ts';
import {
  type Backend,
  type ContractRequest,
  type ContractResponse,
  oneByOne,
  sendBody,
  withoutConnectionHeaders,
} from './backend.ts';

export const http2Backend: Backend = {
  name: 'http2',
  keepsCase: false,
  isHttp2: true,
  keepsConnections: true,
  async start(app: App) {
    const log: string[] = [];
    const logger = lineLogger('debug', (line) => log.push(line));
    const { host, running } = await serveHttp2(app, logger);
    const request = async (each: ContractRequest = {}): Promise<ContractResponse> => {
      const session = connect(`http://${host}`);
      session.on('error', () => {});
      const answer = await ask(session, each);
      session.close();
      return answer;
    };
    return {
      log,
      request,
      async inTurn(requests) {
        const session = connect(`http://${host}`);
        const answers = await oneByOne(requests, (each) => ask(session, each));
        session.close();
        return answers;
      },
      close: () => running.close({ graceful: false }),
    };
  },
};

const NOTHING: ContractResponse = { status: 0, rawHeaders: [], body: Buffer.alloc(0), complete: false };

function ask(session: ClientHttp2Session, request: ContractRequest): Promise<ContractResponse> {
  const { method = 'GET', path = '/', headers = {}, body, declaredLength, abort, readAfter } = request;
  return new Promise((resolve) => {
    const sent = body?.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
    const length = declaredLength ?? sent;
    const stream = session.request(
      {
        ...(length === undefined ? {} : { 'content-length': length }),
        ...(headers as Record<string, string | string[]>),
        ':method': method,
        ':path': path,
      },
      { endStream: body === undefined && declaredLength === undefined },
    );
    let answer = NOTHING;
    stream.on('error', () => {});
    stream.on('close', () => resolve({ ...answer, complete: answer.status > 0 && stream.rstCode === 0 && ended }));
    let ended = false;
    stream.on(
      'response',
      async (head: IncomingHttpHeaders & { ':status'?: number }, _flags: number, rawHeaders: string[]) => {
        answer = { ...answer, status: head[':status'] ?? 0, rawHeaders: withoutConnectionHeaders(rawHeaders.slice(2)) };
        await readAfter;
        stream.on('data', (part: Buffer) => {
          answer = { ...answer, body: Buffer.concat([answer.body, part]) };
        });
        stream.on('end', () => {
          ended = true;
        });
      },
    );
    abort?.then(() => stream.close(8));
    const isWhole = length === undefined || length === sent;
    void sendBody(stream, body ?? [], isWhole, () => stream.close(stream.readableEnded ? 0 : 8));
  });
}
