/**
 * Gives middleware that was written for Express the members of a request and a response that it expects beyond Node's own,
 * for as long as it runs. An Express application behind it sees none of them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Middleware } from './middleware.ts';

/** Middleware that may ask for `req.ip` and respond by `res.status(429).send('...')`. */
export function withExpressFacade(middleware: Middleware): Middleware {
  return (req, res, next) => {
    const removals = [addMembers(req, requestMembers(req)), addMembers(res, responseMembers(res))];
    return middleware(req, res, (error) => {
      for (const remove of removals) remove();
      next(error);
    });
  };
}

/** Defines the members that are missing. @returns a function that removes them again. */
function addMembers(target: object, members: object): () => void {
  const names: string[] = [];
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(members))) {
    if (name in target) continue;
    Object.defineProperty(target, name, { ...descriptor, enumerable: false });
    names.push(name);
  }
  return () => {
    for (const name of names) Reflect.deleteProperty(target, name);
  };
}

function requestMembers(req: IncomingMessage): object {
  return {
    // There is no Express application, so every setting that middleware asks for is undefined.
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

function responseMembers(res: ServerResponse): object {
  const setDefault = (type: string): void => {
    if (!res.hasHeader('content-type')) res.setHeader('content-type', type);
  };
  const members = {
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
      if (!isText && !Buffer.isBuffer(body)) return members.json(body);
      setDefault(isText ? 'text/html; charset=utf-8' : 'application/octet-stream');
      return res.end(body);
    },
  };
  return members;
}
