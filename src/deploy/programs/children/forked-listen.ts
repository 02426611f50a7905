/**
 * Loaded into a process that a program forks to serve, before the code of that process. The first HTTP server of the process
 * then listens on the socket to which paster's worker passes requests.
 */
import { rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { createServer, Server } from 'node:net';
import { Preambles } from '../../../gateway/hop/preamble.ts';
import type { Address } from '../../../net/address.ts';

/** The environment variable with the `ForkedServerPlace`, as JSON. */
export const FORKED_SERVER = 'PASTER_FORKED_SERVER';

export interface ForkedServerPlace {
  readonly socket: string;
  /** The address that clients connect to. */
  readonly address: Address | undefined;
}

const written = process.env[FORKED_SERVER];
if (written !== undefined) {
  const { preload, ...place } = JSON.parse(written) as ForkedServerPlace & { readonly preload: string };
  // Not for the processes and threads that this one starts.
  delete process.env[FORKED_SERVER];
  process.env['NODE_OPTIONS'] = (process.env['NODE_OPTIONS'] ?? '').replace(preload, '').trim();
  listenOn(place);
}

function listenOn({ socket, address }: ForkedServerPlace): void {
  const { listen } = Server.prototype;
  let isTaken = false;
  Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
    if (isTaken || this.listenerCount('request') === 0) return Reflect.apply(listen, this, args);
    isTaken = true;
    const [first] = args;
    const asked = typeof first === 'object' && first !== null && 'port' in first ? first.port : first;
    const port = address?.kind === 'tcp' ? address.port : Number(asked) || 0;
    const callback = args.findLast((each) => typeof each === 'function') as (() => void) | undefined;
    if (callback) this.once('listening', callback);
    const listener = createServer({ allowHalfOpen: true });
    const preambles = new Preambles();
    preambles.receive(listener, this);
    const complete = (req: IncomingMessage): void => preambles.complete(req);
    this.prependListener('request', complete).prependListener('upgrade', complete);
    Object.assign(this, {
      address: () => ({ address: '127.0.0.1', family: 'IPv4', port }),
      close: (done?: () => void) => {
        listener.close(() => this.emit('close'));
        if (done) this.once('close', done);
        return this;
      },
    });
    Object.defineProperty(this, 'listening', { get: () => listener.listening });
    // A previous process may have left its socket behind.
    rmSync(socket, { force: true });
    Reflect.apply(listen, listener, [socket, () => this.emit('listening')]);
    return this;
  } as Server['listen'];
}
