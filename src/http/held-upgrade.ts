/**
 * Looks at the answer to an upgrade before it goes out, as it is written on the socket: a handshake that is refused with
 * a certain status can so be offered to somebody else.
 */
import type { Duplex } from 'node:stream';

type Writer = (...args: unknown[]) => unknown;

const WATCHED = ['write', 'end', 'destroy'] as const;

const STATUS = /^HTTP\/1\.[01] (\d{3})/;

/**
 * Resolves to false when an answer of a status that is dropped has been written on `socket` and ended: nothing of it has
 * gone out, and the socket is as it was. Resolves to true when anything else has been written. Several may hold one
 * socket, the last one first.
 */
export function holdUpgrade(socket: Duplex, isDropped: (status: number) => boolean): Promise<boolean> {
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
    const callBack = (args: readonly unknown[]): void => {
      const callback = args.at(-1);
      if (typeof callback === 'function') process.nextTick(callback as () => void);
    };
    watched.write = (...args) => {
      if (isOver || !refuses(args[0])) {
        restore(true);
        return write.apply(socket, args);
      }
      callBack(args);
      return true;
    };
    watched.end = (...args) => {
      const isTaken = isOver || !refuses(args[0]);
      restore(isTaken);
      if (isTaken) return end.apply(socket, args);
      callBack(args);
      return socket;
    };
    watched.destroy = (...args) => {
      const isDropped = isRefused && !isOver;
      restore(!isRefused);
      return isDropped ? socket : destroy.apply(socket, args);
    };
    socket.once('close', () => restore(true));
  });
}
