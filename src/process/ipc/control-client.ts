/** The client's side of control: finds the running servers of an INI file, and sends them requests. */
import { realpathSync } from 'node:fs';
import type { Socket } from 'node:net';
import { RunError } from '../../errors.ts';
import { privateDirectories } from '../../files/private-directory.ts';
import type { ServerStatus } from '../../metrics/server-status.ts';
import { ownVersion } from '../../own-files.ts';
import { UPGRADE_PROTOCOL } from '../upgrade/inheritance.ts';
import { type ControlReply, type ControlRequest, connectTo, type Introduction, socketsIn } from './control-socket.ts';
import { unpackError } from './error-transfer.ts';
import { LineReader, lineOf, readLine } from './lines.ts';

/** The running servers of an INI file. */
export interface FoundServers {
  readonly servers: readonly FoundServer[];
  /** Servers of another version, whose protocol this one does not understand. */
  readonly foreign: readonly { readonly pid: number; readonly version: string }[];
}

/** How long a server may take to identify itself, or to send its status. */
const LIMIT_MS = 8000;
/** In characters: the status of a server with a thousand workers has several million. */
const LONGEST_LINE = 256 * 2 ** 20;

/** A connection to a running server, for one request at a time. */
export class FoundServer {
  readonly pid: number;
  readonly #socket: Socket;
  readonly #lines: LineReader;

  constructor(pid: number, socket: Socket, lines: LineReader) {
    this.pid = pid;
    this.#socket = socket;
    this.#lines = lines;
  }

  /**
   * Sends a request and returns the result.
   * @param onPiece called with each piece of the response before that
   * @throws the server's own error; RunError if the server ends before it has responded
   */
  ask<T>(request: ControlRequest, onPiece: (piece: never) => void = () => {}): Promise<T> {
    const socket = this.#socket;
    let lost = (): void => {};
    return new Promise<T>((resolve, reject) => {
      lost = () => reject(new RunError('PASTER_CONTROL_LOST', `server ${this.pid} has ended before it responded`));
      this.#lines.onLine = (line) => {
        const reply = readLine<ControlReply>(line);
        if (reply === undefined) return;
        if ('piece' in reply) onPiece(reply.piece as never);
        else if ('error' in reply) reject(unpackError(reply.error));
        else resolve(reply.result as T);
      };
      socket.setTimeout(0);
      if (socket.destroyed) lost();
      else socket.once('close', lost).write(lineOf(request));
    }).finally(() => socket.off('close', lost));
  }

  /** Resolves when the server has closed the connection, at the latest when it ends. */
  get closed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) resolve();
      else this.#socket.once('close', () => resolve());
    });
  }

  /** Ends the connection. The server then stops what it does only for this request. */
  close(): void {
    this.#socket.destroy();
  }
}

/**
 * This user's servers of an INI file: none, one, or several with different addresses.
 * @param file an absolute path
 * @param isUnderstood whether this version understands the responses of such a server
 * @throws Error of the system, if there is no such file
 */
export async function findServers(file: string, isUnderstood = isSameVersion): Promise<FoundServers> {
  const wanted = new Set([file, realpathSync(file)]);
  const paths = privateDirectories().flatMap(socketsIn);
  const all = await Promise.all(paths.map((path) => findOne(path, wanted, isUnderstood)));
  const found = all.filter((each) => each !== undefined);
  return {
    servers: found.flatMap((each) => (each instanceof FoundServer ? [each] : [])),
    foreign: found.flatMap((each) => (each instanceof FoundServer ? [] : [each])),
  };
}

/** The status of servers. A server that ends before it has sent its status is left out. */
export async function askStatus(servers: readonly FoundServer[]): Promise<ServerStatus[]> {
  const asked = await Promise.all(
    servers.map(async (server) => {
      const late = setTimeout(() => server.close(), LIMIT_MS);
      try {
        return await server.ask<ServerStatus>({ command: 'status' });
      } catch {
        return undefined;
      } finally {
        clearTimeout(late);
        server.close();
      }
    }),
  );
  return asked.filter((each) => each !== undefined);
}

/** Undefined for a server that is gone, serves another file, or sends nothing useful. */
function findOne(
  path: string,
  wanted: ReadonlySet<string>,
  isUnderstood: (server: Introduction) => boolean,
): Promise<FoundServer | FoundServers['foreign'][number] | undefined> {
  return new Promise((resolve) => {
    const socket = connectTo(path);
    const lines = new LineReader(socket, LONGEST_LINE);
    socket.setTimeout(LIMIT_MS, () => socket.destroy());
    socket.once('close', () => resolve(undefined));
    lines.onLine = (line) => {
      const introduction = readIntroduction(line);
      const { paster, pid, files } = introduction;
      if (isUnderstood(introduction) && files.some((file) => wanted.has(file))) {
        resolve(new FoundServer(pid, socket, lines));
        return;
      }
      resolve(files.some((file) => wanted.has(file)) ? { pid, version: paster } : undefined);
      socket.destroy();
    };
  });
}

/** Reads the first line that a server sends. A line in an unknown form names no file. */
function readIntroduction(line: string): Introduction {
  const { paster, pid, files, upgrade } = readLine<Partial<Record<keyof Introduction, unknown>>>(line) ?? {};
  if (typeof paster !== 'string' || typeof pid !== 'number' || !Array.isArray(files)) {
    return { paster: '', pid: 0, files: [] };
  }
  return {
    paster,
    pid,
    files: files.filter((file) => typeof file === 'string'),
    ...(typeof upgrade === 'number' ? { upgrade } : {}),
  };
}

function isSameVersion({ paster }: Introduction): boolean {
  return paster === ownVersion();
}

/** Whether `paster upgrade` works between the version of the server and this one. */
export function canUpgrade({ upgrade }: Introduction): boolean {
  return upgrade === UPGRADE_PROTOCOL;
}
