/**
 * The server's side of control: each server has a Unix socket on which it reports its status and carries out the commands of
 * `paster control`. The socket is in a directory that no other user may enter, so each client is this user or root. The server
 * begins with a line that says who it is, the client sends requests as lines of JSON, and the server responds to each with
 * lines of JSON: any number of pieces, then the result or an error.
 */
import { readdirSync, realpathSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { errorCode, errorMessage } from '../../errors.ts';
import { makePrivateDirectory } from '../../files/private-directory.ts';
import type { Logger } from '../../log.ts';
import type { ServerStatus } from '../../metrics/server-status.ts';
import { openListener } from '../../net/listener.ts';
import { removeIfPossible } from '../../net/socket-publication.ts';
import { ownVersion } from '../../own-files.ts';
import type { Program } from '../program/self-spawn.ts';
import { UPGRADE_PROTOCOL } from '../upgrade/inheritance.ts';
import type { Inspection } from '../worker/inspection.ts';
import { packError, type TransferredError } from './error-transfer.ts';
import { LineReader, lineOf, readLine } from './lines.ts';

/** The first line that a server sends, the same in every version. */
export interface Introduction {
  /** The version: only the same version understands the rest, but for the command `upgrade`. */
  readonly paster: string;
  readonly pid: number;
  /** The INI file: the path as given, and its real paths at the start and now. */
  readonly files: readonly string[];
  /** The number of the protocol of `upgrade`. Absent: it cannot be upgraded. */
  readonly upgrade?: number;
}

/** What a client asks for. */
export type ControlRequest =
  | { readonly command: 'status' }
  | { readonly command: 'reload' }
  /** A number, or how many more or fewer. */
  | { readonly command: 'workers'; readonly count: number; readonly isChange: boolean }
  | { readonly command: 'replace'; readonly pid: number }
  /** The whole server, or the processes of a section, until `start`. */
  | { readonly command: 'stop'; readonly process?: string | undefined }
  | { readonly command: 'start'; readonly process: string }
  /** The same in every version with this number of the protocol, as is `UpgradeOutcome`. */
  | { readonly command: 'upgrade'; readonly program: Program }
  /** The status of the server, and where its blocked workers are. */
  | { readonly command: 'requests' }
  /** What all processes log and print from now on, as pieces, until the client leaves. `level`: the lowest. */
  | { readonly command: 'logs'; readonly level: number }
  /** `pid`: of a worker, or of the server itself if it has none. */
  | { readonly command: 'inspect'; readonly pid: number; readonly what: Inspection };

/** What `upgrade` returns: the process that serves now, and its version of paster and of Node. */
export interface UpgradeOutcome {
  readonly pid: number;
  readonly version: string;
  readonly node: string;
}

/** A line of a response. */
export type ControlReply =
  | { readonly piece: unknown }
  | { readonly result: unknown }
  | { readonly error: TransferredError };

/** Sends a piece of the response, and resolves when there is room for the next one. */
export type SendPiece = (piece: unknown) => Promise<void>;

/** A server that can be controlled. */
export interface Controllable {
  status(): Promise<ServerStatus>;
  /**
   * Carries out a command.
   * @param gone aborted when the client has left
   * @returns the result, which survives JSON
   */
  control(request: ControlRequest, send: SendPiece, gone: AbortSignal): Promise<unknown>;
}

// The pid is for people. It is not enough by itself: in each of two containers it may be 1.
const NAME = /^\d+-[\da-z]+$/;
/** A client has this time to send its first request. A request has at most this many characters. */
const REQUEST_MS = 10_000;
const LONGEST_REQUEST = 65_536;

/**
 * Lets the server of an INI file be controlled until this process ends. If there is no directory for the socket, the server
 * serves without it and logs that.
 *
 * @param file the path as given: a deployment may change where a link in it leads
 * @returns a function after which no client finds this server. Those that are connected stay.
 */
export async function offerControl(file: string, target: Controllable, log: Logger): Promise<() => void> {
  try {
    const atStart = realpathSync(file);
    const directory = makePrivateDirectory();
    if (directory === undefined) throw new Error('no directory for it belongs to this user alone');
    await Promise.all(socketsIn(directory).map(removeIfDead));
    const version = ownVersion();
    const path = join(directory, `${process.pid}-${Math.random().toString(36).slice(2)}`);
    const listener = await openListener({ kind: 'unix', path }, { mode: 0o600 });
    process.once('exit', () => void listener.close());
    const { server } = listener;
    server.on('connection', (socket) => {
      socket.on('error', () => {});
      const files = [...new Set([...namesOf(file), atStart])];
      const introduction: Introduction = { paster: version, pid: process.pid, files, upgrade: UPGRADE_PROTOCOL };
      socket.write(lineOf(introduction));
      respond(socket, target);
    });
    server.on('error', () => {});
    server.unref();
    return () => void listener.close();
  } catch (error) {
    log.debug(`paster status will not find this server: ${errorMessage(error)}`);
    return () => {};
  }
}

/** Responds to requests one after the other until the client leaves. */
function respond(socket: Socket, target: Controllable): void {
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  socket.setTimeout(REQUEST_MS, () => socket.destroy());
  let turn = Promise.resolve();
  new LineReader(socket, LONGEST_REQUEST).onLine = (line) => {
    // A command may take its time, and so may a person before the next one.
    socket.setTimeout(0);
    turn = turn.then(() => respondToOne(line, socket, target, gone.signal));
  };
}

async function respondToOne(line: string, socket: Socket, target: Controllable, gone: AbortSignal): Promise<void> {
  const send = (reply: ControlReply): Promise<void> =>
    new Promise((resolve) => {
      if (socket.destroyed) resolve();
      else socket.write(lineOf(reply), () => resolve());
    });
  const request = readLine<ControlRequest>(line);
  if (!request) return void socket.destroy();
  try {
    const result =
      request.command === 'status'
        ? await target.status()
        : await target.control(request, (piece) => send({ piece }), gone);
    // JSON leaves out what is undefined.
    await send({ result: result ?? null });
  } catch (error) {
    await send({ error: packError(error) });
  }
}

/** The path, and the real one if there is such a file now. */
function namesOf(file: string): string[] {
  try {
    return [file, realpathSync(file)];
  } catch {
    return [file];
  }
}

export function socketsIn(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => (NAME.test(name) ? [join(directory, name)] : []));
}

/**
 * Removes the socket of a killed process. The pid proves nothing: the process may be in another container, and another one may
 * have its pid.
 */
function removeIfDead(path: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connectTo(path);
    socket.on('connect', () => socket.destroy());
    socket.on('close', () => resolve());
  });
}

/** Connects to a server, and removes the socket of one that is dead. */
export function connectTo(path: string): Socket {
  const socket = createConnection(path);
  socket.on('error', (error) => {
    if (errorCode(error) === 'ECONNREFUSED') removeIfPossible(path);
  });
  return socket;
}
