/** What libraries do with Node's own objects and classes: assign properties, check classes, replace methods. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { IncomingMessage, OutgoingMessage, Server, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { finished } from 'node:stream';
import { type Case, codeOf, type Look, outcome, watch } from './case.ts';

type Handler = (look: Look, req: IncomingMessage, res: ServerResponse) => unknown;

function handling(name: string, handler: Handler): Case {
  return { name, app: (look) => (req, res) => handler(look, req, res) };
}

const mine = () => Object.assign(new Error('mine'), { code: 'E_MINE' });

/** The names of all public properties of a socket that are not methods. */
function propertyNames(socket: Socket): string[] {
  const names = new Set<string>();
  for (let at: object | null = socket; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) if (!name.startsWith('_')) names.add(name);
  }
  return [...names];
}

/** Whether the property accepts its own value. */
function isAssignable(socket: Socket, name: string): boolean {
  return outcome(() => Reflect.set(socket, name, Reflect.get(socket, name))) === true;
}

/** A method as instrumentation replaces it: records the call, then calls the original. */
function noting(look: Look, name: string, method: (...args: unknown[]) => unknown, returns: boolean) {
  return function (this: unknown, ...args: unknown[]): unknown {
    look(`${name} of ${args.length} begins`);
    const result = method.apply(this, args);
    look(`${name} ends`);
    return returns ? result : undefined;
  };
}

/** Runs `act` while methods of one of Node's prototypes are replaced. */
function whileReplaced(look: Look, prototype: object, names: readonly string[], act: () => void, returns = true): void {
  const before = names.map((name) => Object.getOwnPropertyDescriptor(prototype, name));
  for (const name of names) {
    const method = Reflect.get(prototype, name);
    Object.defineProperty(prototype, name, {
      value: noting(look, name, method, returns),
      configurable: true,
      writable: true,
    });
  }
  try {
    act();
  } finally {
    names.forEach((name, i) => {
      const descriptor = before[i];
      if (descriptor === undefined) Reflect.deleteProperty(prototype, name);
      else Object.defineProperty(prototype, name, descriptor);
    });
  }
}

/** Each public way to write a response, with replaced methods of the prototype. */
function replaced(prototype: object, of: string, names: readonly string[]): Case[] {
  const ways: [string, (res: ServerResponse) => void][] = [
    ['end(text)', (res) => res.end('x')],
    ['setHeader and end(text)', (res) => res.setHeader('X-A', '1').setHeader('x-a', '2').end('x')],
    ['writeHead and end(text)', (res) => res.writeHead(201, { 'X-A': '1' }).end('x')],
    [
      'setHeader, writeHead and end()',
      (res) => {
        res.setHeader('X-A', '1');
        res.writeHead(201, { 'X-B': '2' });
        res.end();
      },
    ],
    [
      'write and end',
      (res) => {
        res.write('a');
        res.end('b');
      },
    ],
    ['end with a callback', (res) => res.end('x', () => {})],
  ];
  return ways.map(([way, act]) =>
    handling(`${names.join(', ')} of ${of} replaced: ${way}`, (look, _req, res) =>
      whileReplaced(look, prototype, names, () => act(res)),
    ),
  );
}

/** A case whose application is loaded after a library has called `observe`, which returns a function that undoes it. */
function observing(name: string, observe: (look: Look) => () => void): Case {
  return {
    name,
    app: (look) => {
      const stop = observe(look);
      return (_req, res) => {
        res.on('finish', () => look('finish of the response'));
        res.on('close', stop);
        look('the application');
        res.end('x');
      };
    },
  };
}

const METHODS = ['writeHead', 'setHeader', 'write', 'end'];

export const LIBRARY_CASES: readonly Case[] = [
  handling('the names of the classes', (look, req, res) => {
    look(req.constructor.name, res.constructor.name, req.socket.constructor.name);
    look(req.constructor === IncomingMessage, res.constructor === ServerResponse, req.socket.constructor === Socket);
    res.end('x');
  }),
  handling('encrypted is absent, and can be set', (look, { socket }, res) => {
    look('encrypted' in socket);
    Object.assign(socket, { encrypted: true });
    look(Reflect.get(socket, 'encrypted'));
    res.end('x');
  }),
  handling('timeout is absent until it is set, and can be assigned', (look, { socket }, res) => {
    look(typeof socket.timeout);
    look(socket.setTimeout(60_000).timeout, socket.setTimeout(0).timeout);
    Object.assign(socket, { timeout: 5 });
    look(socket.timeout);
    res.end('x');
  }),
  handling('properties that are writable on Node’s socket are writable', (look, { socket }, res) => {
    const nodes = new Socket();
    const names = propertyNames(nodes).filter((name) => isAssignable(nodes, name));
    look(
      names.length > 0,
      names.filter((name) => !isAssignable(socket, name)),
    );
    res.end('x');
  }),

  ...(['before the head', 'after a part'] as const).map((when) =>
    handling(`req.socket.destroy(error) ${when}: 'error' and 'close' of the socket`, (look, req, res) => {
      const { socket } = req;
      watch(look, 'socket', socket, ['error', 'close'], (argument) =>
        argument instanceof Error ? codeOf(argument) : argument,
      );
      watch(look, 'req', req, ['error', 'aborted', 'close'], codeOf);
      watch(look, 'res', res, ['error', 'close'], codeOf);
      if (when === 'after a part') res.write('part');
      setTimeout(() => {
        look(socket.destroy(mine()) === socket, codeOf(socket.errored));
        socket.destroy(new Error('another'));
      }, 10);
    }),
  ),
  handling('res.destroy(error) is an error of the socket', (look, { socket }, res) => {
    watch(look, 'socket', socket, ['error'], codeOf);
    res.destroy(mine());
  }),
  handling('req.destroy(error) is an error of the socket', (look, req) => {
    watch(look, 'socket', req.socket, ['error'], codeOf);
    req.on('error', () => {});
    req.destroy(mine());
  }),
  handling('finished(socket) has the error that it was destroyed with', (look, { socket }) => {
    finished(socket, (error) => look('finished', codeOf(error)));
    socket.destroy(mine());
  }),

  observing('emit of http.Server replaced', (look) => {
    const { emit } = Server.prototype;
    Server.prototype.emit = function (this: Server, ...args: unknown[]): boolean {
      const [event, req, res] = args;
      if (event !== 'request') return Reflect.apply(emit, this, args);
      look('request begins', args.length, req instanceof IncomingMessage, res instanceof ServerResponse);
      const result = Reflect.apply(emit, this, args);
      look('request ends', result);
      return result;
    };
    return () => {
      Server.prototype.emit = emit;
    };
  }),
  observing('the diagnostics channels of node:http', (look) => {
    const channels = ['http.server.request.start', 'http.server.response.finish'];
    const noted = (message: unknown, name: string | symbol): void => {
      const { request, response, socket, server } = message as Record<string, unknown>;
      look(
        name,
        request instanceof IncomingMessage && request.socket === socket,
        response instanceof ServerResponse && response.req === request,
        server instanceof Server,
      );
    };
    for (const name of channels) subscribe(name, noted);
    return () => {
      for (const name of channels) unsubscribe(name, noted);
    };
  }),

  ...replaced(ServerResponse.prototype, 'ServerResponse', METHODS),
  ...replaced(ServerResponse.prototype, 'ServerResponse', ['writeHead']),
  ...replaced(ServerResponse.prototype, 'ServerResponse', ['end']),
  ...replaced(OutgoingMessage.prototype, 'OutgoingMessage', ['setHeader', 'write', 'end']),
  handling('a writeHead that returns nothing', (look, _req, res) => {
    const act = () => {
      look(res.setHeader('X-A', '1').end('x') === res);
    };
    whileReplaced(look, ServerResponse.prototype, ['writeHead'], act, false);
  }),
  handling('methods of an inserted prototype, like that of an Express application', (look, _req, res) => {
    const between = Object.create(ServerResponse.prototype);
    Object.setPrototypeOf(res, between);
    whileReplaced(look, between, METHODS, () => res.setHeader('X-A', '1').end('x'));
  }),
  handling('Node’s own end, called instead of that of the response', (look, _req, res) => {
    res.on('finish', () => look('finish'));
    res.on('close', () => look('close'));
    res.write('a');
    look(OutgoingMessage.prototype.end.call(res, 'b', 'utf8') === res);
  }),
  handling('Node’s own writeHead, called instead of that of the response', (look, _req, res) => {
    look(ServerResponse.prototype.writeHead.call(res, 201, { 'X-A': '1' }) === res);
    res.end('x');
  }),
];
