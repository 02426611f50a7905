/**
 * How `paster status` finds a server that runs: a Unix socket that says, to whoever connects, how the server is. It stands
 * in a directory that belongs to this user and that nobody else may enter, so that what is found there is this user's own,
 * and is named after the INI file and the process. Both sides are here.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, realpathSync, unlinkSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorCode, errorMessage } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { ServerStatus } from '../metrics/server-status.ts';

/** What is said over the socket: one JSON text. */
interface Answer {
  /** The INI file, by its real path. */
  readonly file: string;
  readonly status: ServerStatus;
}

const NAME = /^([\da-f]{16})-(\d+)$/;
const ASK_LIMIT_MS = 8000;

/**
 * Has this process answer for the server of an INI file, until it ends. Where there is no place for the socket the server
 * serves all the same, and `log` is told.
 */
export async function offerStatus(file: string, ask: () => Promise<ServerStatus>, log: Logger): Promise<void> {
  try {
    const real = realpathSync(file);
    const directory = ownDirectories(true)[0];
    if (directory === undefined) throw new Error('no directory for it belongs to this user alone');
    sweep(directory);
    const path = join(directory, `${hashOf(real)}-${process.pid}`);
    // A process that had this number once was killed.
    remove(path);
    const server = createServer((socket) => {
      socket.on('error', () => {});
      ask().then(
        (status) => socket.end(JSON.stringify({ file: real, status } satisfies Answer)),
        () => socket.destroy(),
      );
    });
    await listen(server, path);
    chmodSync(path, 0o600);
    process.once('exit', () => remove(path));
    server.on('error', () => {});
    server.unref();
  } catch (error) {
    log.debug(`paster status is not going to find this server: ${errorMessage(error)}`);
  }
}

/** How the servers of this user are that serve an INI file; none, one, or several with different addresses. */
export async function askServers(file: string): Promise<ServerStatus[]> {
  const real = realpathSync(file);
  const wanted = hashOf(real);
  const paths = ownDirectories(false).flatMap((directory) => {
    sweep(directory);
    return socketsIn(directory).flatMap(({ name, hash }) => (hash === wanted ? [join(directory, name)] : []));
  });
  const answers = await Promise.all(paths.map(askOne));
  // Two files of one hash are unlikely, and possible.
  return answers.flatMap((answer) => (answer?.file === real ? [answer.status] : []));
}

/**
 * The directories that such sockets may be in: where the system has one for each user, and beside temporary files. Those
 * alone that belong to this user and that nobody else may enter; a link is none.
 */
function ownDirectories(create: boolean): string[] {
  const user = process.geteuid?.();
  if (user === undefined) return [];
  const runtime = process.env['XDG_RUNTIME_DIR'];
  const candidates = new Set([
    ...(runtime?.startsWith('/') ? [join(runtime, 'paster')] : []),
    `/run/user/${user}/paster`,
    join(tmpdir(), `paster-${user}`),
  ]);
  return [...candidates].filter((directory) => {
    try {
      if (create) makeDirectory(directory);
      const { uid, mode, isDirectory } = described(directory);
      return isDirectory && uid === user && (mode & 0o077) === 0;
    } catch {
      return false;
    }
  });
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}

function described(path: string): { uid: number; mode: number; isDirectory: boolean } {
  const found = lstatSync(path);
  return { uid: found.uid, mode: found.mode, isDirectory: found.isDirectory() };
}

function socketsIn(directory: string): { name: string; hash: string; pid: number }[] {
  return readdirSync(directory).flatMap((name) => {
    const [, hash = '', pid = ''] = NAME.exec(name) ?? [];
    return hash === '' ? [] : [{ name, hash, pid: Number(pid) }];
  });
}

/** Removes what processes have left behind that were killed. */
function sweep(directory: string): void {
  for (const { name, pid } of socketsIn(directory)) if (!exists(pid)) remove(join(directory, name));
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone already.
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Undefined for one that has gone, or that says nothing of use. */
function askOne(path: string): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    let text = '';
    socket.setEncoding('utf8').setTimeout(ASK_LIMIT_MS, () => socket.destroy());
    socket.on('data', (more: string) => {
      text += more;
    });
    socket.on('error', (error) => {
      // The number belongs to another process by now.
      if (errorCode(error) === 'ECONNREFUSED') remove(path);
    });
    socket.on('close', () => resolve(readAnswer(text)));
  });
}

function readAnswer(text: string): Answer | undefined {
  try {
    return JSON.parse(text) as Answer;
  } catch {
    return undefined;
  }
}

const MASK_64 = (1n << 64n) - 1n;

/** FNV-1a: as short a name as a socket's path needs, without loading what signs and encrypts. */
function hashOf(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & MASK_64;
  return hash.toString(16).padStart(16, '0');
}
