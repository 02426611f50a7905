/**
 * What middleware that is written for Express expects of a request and a response beyond Node's own: lent to it for as long
 * as it runs. An Express application behind it has its own, and finds nothing of this in its way.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Middleware } from './middleware.ts';

/** Middleware that may ask for `req.ip` and answer by `res.status(429).send('...')`. */
export function withExpressFace(middleware: Middleware): Middleware {
  return (req, res, next) => {
    const lent = [lend(req, requestFace(req)), lend(res, responseFace(res))];
    return middleware(req, res, (error) => {
      for (const giveBack of lent) giveBack();
      next(error);
    });
  };
}

/** Defines what is not there yet; the function that is returned takes it away again. */
function lend(target: object, face: object): () => void {
  const names: string[] = [];
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(face))) {
    if (name in target) continue;
    Object.defineProperty(target, name, { ...descriptor, enumerable: false });
    names.push(name);
  }
  return () => {
    for (const name of names) Reflect.deleteProperty(target, name);
  };
}

function requestFace(req: IncomingMessage): object {
  return {
    // Nobody has set anything: to every question of middleware the answer is undefined.
    app: { get: () => undefined },
    get ip() {
      return req.socket.remoteAddress;
    },
    get protocol() {
      return 'encrypted' in req.socket && req.socket.encrypted === true ? 'https' : 'http';
    },
    get: (name: string) => req.headers[name.toLowerCase()],
  };
}

function responseFace(res: ServerResponse): object {
  const setDefault = (type: string): void => {
    if (!res.hasHeader('content-type')) res.setHeader('content-type', type);
  };
  const face = {
    status(code: number) {
      res.statusCode = code;
      return res;
    },
    set: (name: string, value: string | readonly string[]) => res.setHeader(name, value),
    append: (name: string, value: string | readonly string[]) => res.appendHeader(name, value),
    json(body: unknown) {
      setDefault('application/json; charset=utf-8');
      return res.end(JSON.stringify(body));
    },
    send(body: unknown) {
      const isText = typeof body === 'string';
      if (!isText && !Buffer.isBuffer(body)) return face.json(body);
      setDefault(isText ? 'text/html; charset=utf-8' : 'application/octet-stream');
      return res.end(body);
    },
  };
  return face;
}
