/**
 * Looks at the response to an upgrade before it is written to the socket, so that another application can be asked if one refuses
 * with a certain status.
 */
import type { Duplex } from 'node:stream';
import { callLater } from '../../http/response/response-interceptor.ts';

type Writer = (...args: unknown[]) => unknown;

const WATCHED = ['write', 'end', 'destroy'] as const;

const STATUS = /^HTTP\/1\.[01] (\d{3})/;

/**
 * Resolves to false when an application has ended a response whose status is dropped: none of it has been sent, and the socket
 * is unchanged. Resolves to true when anything else has been written. Nested cascades may watch the same socket.
 */
export function watchUpgrade(socket: Duplex, isDropped: (status: number) => boolean): Promise<boolean> {
  return new Promise((resolve) => {
    const watched = socket as unknown as Record<(typeof WATCHED)[number], Writer>;
    const { write, end, destroy } = watched;
    const own = WATCHED.map((name) => [name, Object.getOwnPropertyDescriptor(watched, name)] as const);
    let isRefused = false;
    let isOver = false;
    const restore = (isTaken: boolean): void => {
      if (isOver) return;
      isOver = true;
      for (const [name, descriptor] of own) {
        if (descriptor) Object.defineProperty(watched, name, descriptor);
        else Reflect.deleteProperty(watched, name);
      }
      resolve(isTaken);
    };
    const refuses = (chunk: unknown): boolean => {
      if (isRefused || typeof chunk === 'function' || chunk === undefined || chunk === null) return isRefused;
      const start = Buffer.from(chunk as Buffer | string).toString('latin1', 0, 16);
      isRefused = isDropped(Number(STATUS.exec(start)?.[1]));
      return isRefused;
    };
    const methods: Readonly<Record<(typeof WATCHED)[number], Writer>> = {
      write(...args) {
        if (isOver || !refuses(args[0])) {
          restore(true);
          return write.apply(socket, args);
        }
        callLater(...args);
        return true;
      },
      end(...args) {
        const isTaken = isOver || !refuses(args[0]);
        restore(isTaken);
        if (isTaken) return end.apply(socket, args);
        callLater(...args);
        return socket;
      },
      destroy(...args) {
        const isIgnored = isRefused && !isOver;
        restore(!isRefused);
        return isIgnored ? socket : destroy.apply(socket, args);
      },
    };
    Object.assign(watched, methods);
    socket.once('close', () => restore(true));
  });
}
