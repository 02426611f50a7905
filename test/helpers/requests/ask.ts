/** One HTTP request as a client that changes nothing: fetch would tidy the path up, and hide a broken answer's start. */
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

export interface Question {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  /** The client's own address: any of 127.0.0.0/8. */
  readonly localAddress?: string;
  /** Several pieces: sent in chunks, without a Content-Length. */
  readonly body?: Buffer | string | readonly (Buffer | string)[];
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The answer came to its end. */
  readonly complete: boolean;
}

/** @param path as it is to stand in the request line. @throws Error where no answer begins. */
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

/** The first bytes of an answer that may never end. The client leaves when `leave` is called. */
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
