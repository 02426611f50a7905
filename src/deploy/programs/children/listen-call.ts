/** What a call of `listen()` asks for. Threads and child processes of a program load this too. */
import { join } from 'node:path';

/** What a program asked to listen on. */
export interface RequestedAddress {
  readonly port: number;
  readonly path: string | undefined;
  /** Closes the server when it is aborted. */
  readonly signal?: AbortSignal;
}

/** Whether another process opened the socket: the program was given a descriptor or a handle, for instance by a cluster. */
export function isInherited(first: unknown): boolean {
  return (
    typeof first === 'object' && first !== null && ('fd' in first || '_handle' in first || 'onconnection' in first)
  );
}

export function requestedAddress([first]: readonly unknown[]): RequestedAddress {
  const options = (typeof first === 'object' && first !== null ? first : { port: first }) as Record<string, unknown>;
  const { port, path, signal } = options;
  const aborting = signal instanceof AbortSignal ? { signal } : {};
  if (typeof path === 'string') return { port: 0, path, ...aborting };
  if (typeof port === 'string' && !/^\d+$/.test(port)) return { port: 0, path: port };
  return { port: typeof port === 'function' ? 0 : Number(port ?? 0), path: undefined, ...aborting };
}

/** Whether a path is that of a Unix socket among the temporary files, which only processes on this machine can find. */
export function isTemporary(path: string | undefined): boolean {
  return (
    path !== undefined &&
    (path.startsWith('\0') || path.startsWith(join(process.getBuiltinModule('node:os').tmpdir(), '/')))
  );
}

export function formatRequested({ port, path }: RequestedAddress): string {
  return path ?? `port ${port}`;
}
