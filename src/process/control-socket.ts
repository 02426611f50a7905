/**
 * How `paster status` finds a server that runs: a Unix socket that says, to whoever connects, whose server it is and how
 * that is. It stands in a directory that nobody else may enter, so that what is found there is this user's own. Both sides
 * are here.
 */
import { readdirSync, realpathSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { errorCode, errorMessage } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { ServerStatus } from '../metrics/server-status.ts';
import { openListener } from '../net/listener.ts';
import { removeQuietly } from '../net/socket-publication.ts';
import { ownVersion } from '../version.ts';
import { makePrivateDirectory, privateDirectories } from './private-directory.ts';

/** What is said first, on a line of its own, and by every version alike. The status is on the second line. */
interface Introduction {
  /** The version: what a status looks like is known to the same one only. */
  readonly paster: string;
  readonly pid: number;
  /** The INI file: by the path that was given, and by its real ones at the start and now. */
  readonly files: readonly string[];
}

/** What runs of an INI file. */
export interface FoundServers {
  readonly servers: readonly ServerStatus[];
  /** Those whose status this version cannot read. */
  readonly foreign: readonly { readonly pid: number; readonly version: string }[];
}

// The process is for people to see. Its number alone would not do: in each of two containers it may be 1.
const NAME = /^\d+-[\da-z]+$/;
const ASK_LIMIT_MS = 8000;

/**
 * Has this process answer for the server of an INI file, until it ends. Where there is no place for the socket the server
 * serves all the same, and `log` is told.
 *
 * @param file the path as it was given: a deploy may turn a link in it to another file
 */
export async function offerStatus(file: string, ask: () => Promise<ServerStatus>, log: Logger): Promise<void> {
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
      socket.write(`${JSON.stringify({ paster: version, pid: process.pid, files } satisfies Introduction)}\n`);
      ask().then(
        (status) => socket.end(JSON.stringify(status)),
        () => socket.destroy(),
      );
    });
    server.on('error', () => {});
    server.unref();
  } catch (error) {
    log.debug(`paster status is not going to find this server: ${errorMessage(error)}`);
  }
}

/**
 * How the servers of this user are that serve an INI file; none, one, or several with different addresses.
 *
 * @param file an absolute path
 * @throws Error of the system, where there is no such file
 */
export async function askServers(file: string): Promise<FoundServers> {
  const wanted = new Set([file, realpathSync(file)]);
  const paths = privateDirectories().flatMap(socketsIn);
  const found = (await Promise.all(paths.map((path) => askOne(path, wanted)))).filter((each) => each !== undefined);
  return {
    servers: found.flatMap((each) => ('status' in each ? [each.status] : [])),
    foreign: found.flatMap((each) => ('version' in each ? [each] : [])),
  };
}

/** The path, and the real one if there is such a file now. */
function namesOf(file: string): string[] {
  try {
    return [file, realpathSync(file)];
  } catch {
    return [file];
  }
}

function socketsIn(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => (NAME.test(name) ? [join(directory, name)] : []));
}

/**
 * Removes what a process has left behind that was killed. Whether the process is there says nothing: it may be in another
 * container, and its number another one's by now.
 */
function removeIfDead(path: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connectTo(path);
    socket.on('connect', () => socket.destroy());
    socket.on('close', () => resolve());
  });
}

function connectTo(path: string): Socket {
  const socket = createConnection(path);
  socket.on('error', (error) => {
    if (errorCode(error) === 'ECONNREFUSED') removeQuietly(path);
  });
  return socket;
}

type Found = { readonly status: ServerStatus } | FoundServers['foreign'][number];

/** Undefined for one that has gone, that serves another file, or that says nothing of use. */
function askOne(path: string, wanted: ReadonlySet<string>): Promise<Found | undefined> {
  return new Promise((resolve) => {
    const version = ownVersion();
    const isWanted = ({ files }: Introduction) => files.some((file) => wanted.has(file));
    const socket = connectTo(path);
    let text = '';
    let introduction: Introduction | undefined;
    socket.setEncoding('utf8').setTimeout(ASK_LIMIT_MS, () => socket.destroy());
    socket.on('data', (more: string) => {
      text += more;
      if (introduction || !text.includes('\n')) return;
      introduction = readIntroduction(text);
      if (introduction.paster !== version || !isWanted(introduction)) socket.destroy();
    });
    socket.on('close', () => {
      if (!introduction || !isWanted(introduction)) return resolve(undefined);
      const { paster, pid } = introduction;
      resolve(paster === version ? readStatus(text) : { pid, version: paster });
    });
  });
}

/** The first line; one that is not of this form introduces nobody. */
function readIntroduction(text: string): Introduction {
  const value = readJson(text.slice(0, text.indexOf('\n')));
  const { paster, pid, files } = (value ?? {}) as Partial<Record<keyof Introduction, unknown>>;
  if (typeof paster !== 'string' || typeof pid !== 'number' || !Array.isArray(files)) {
    return { paster: '', pid: 0, files: [] };
  }
  return { paster, pid, files: files.filter((file) => typeof file === 'string') };
}

/** The second line, of the same version: its form is known. Undefined where the server ended in the middle. */
function readStatus(text: string): Found | undefined {
  const status = readJson(text.slice(text.indexOf('\n') + 1));
  return status === undefined ? undefined : { status: status as ServerStatus };
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
