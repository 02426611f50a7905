/** Sends HTTP requests exactly as given: fetch would normalize the path, and hide the start of an aborted response. */
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

export interface Question {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  /** The client's own address: any of 127.0.0.0/8. */
  readonly localAddress?: string;
  /** If there are several chunks, they are sent without a Content-Length. */
  readonly body?: Buffer | string | readonly (Buffer | string)[];
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Whether the response is complete. */
  readonly complete: boolean;
}

/** @param path exactly as sent in the request line. @throws Error if no response begins. */
export function ask(
  origin: string,
  path: string,
  { method = 'GET', headers = {}, localAddress, body }: Question = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const whole = typeof body === 'string' || Buffer.isBuffer(body);
    const length = whole ? { 'content-length': Buffer.byteLength(body) } : {};
    const request = origin.startsWith('https:') ? requestHttps : requestHttp;
    const req = request(
      origin,
      { path, method, headers: { ...length, ...headers }, agent: false, localAddress, rejectUnauthorized: false },
      (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (chunk: Buffer) => chunks.push(chunk));
        res.on('error', () => {});
        res.on('close', () => {
          const { statusCode = 0, headers: given, complete } = res;
          resolve({ status: statusCode, headers: given, body: Buffer.concat(chunks), complete });
        });
      },
    );
    req.on('error', reject);
    if (whole) req.end(body);
    else {
      for (const piece of body ?? []) req.write(piece);
      req.end();
    }
  });
}

/** The first bytes of a response that may never end. The client disconnects when `leave` is called. */
export function askForStart(
  origin: string,
  path: string,
): Promise<{ first: string; rest: Promise<string>; leave(): void }> {
  return new Promise((resolve, reject) => {
    const req = requestHttp(origin, { path, agent: false }, (res) => {
      let text = '';
      const rest = new Promise<string>((settle) => res.on('close', () => settle(text)));
      res.setEncoding('utf8').on('error', () => {});
      res.once('data', (first: string) => resolve({ first, rest, leave: () => req.destroy() }));
      res.on('data', (chunk: string) => {
        text += chunk;
      });
    });
    req.on('error', reject).end();
  });
}
