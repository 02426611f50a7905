/** Finds the script file for a request, and tells what keeps it from running. */
import { constants } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { errorCode, errorMessage } from '../../errors.ts';
import { pathNames, percentDecode } from '../../http/url-path.ts';
import type { DocumentRoot } from '../document-root.ts';
import type { ScriptTarget } from './script-environ.ts';

const SEGMENT = /(?<!\/)\/+[^/]+/g;

/**
 * Finds the script of a directory that the first segments of a path lead to. The rest of the path is PATH_INFO.
 * @param mount where the directory is mounted, as the client spelled it.
 * @returns the script, or the status to respond with: 404 if there is none (also for a name that begins with a dot and for a
 *   symbolic link that leads out of the directory), 403 for a file that is not executable.
 */
export async function findScript(
  root: DocumentRoot,
  path: string,
  mount: string,
): Promise<Omit<ScriptTarget, 'query'> | number> {
  const parsed = pathNames(path);
  if ('refused' in parsed) return parsed.refused;
  const names: string[] = [];
  for (const match of path.matchAll(SEGMENT)) {
    const name = parsed.names[names.length] ?? '';
    if (name.startsWith('.')) return 404;
    names.push(name);
    const script = root.join(names);
    const found = await root.find(script);
    if (found === undefined) return 404;
    const stats = await stat(found.real);
    if (stats.isDirectory()) continue;
    if (!stats.isFile()) return 404;
    if (!(await isExecutable(found.real))) return 403;
    const end = match.index + match[0].length;
    return {
      script,
      scriptName: percentDecode(mount + path.slice(0, end)),
      pathInfo: percentDecode(path.slice(end)),
    };
  }
  return 404;
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const HASH_BANG = '#!';
/** How programs of Linux (ELF) and macOS (Mach-O, of one architecture or several) begin. */
const PROGRAM_MAGICS = ['7f454c46', 'feedface', 'feedfacf', 'cefaedfe', 'cffaedfe', 'cafebabe'];

/**
 * Why the operating system would not run a script; undefined: no reason found. A file that is neither a program nor names
 * its interpreter must not be started at all, since the C library's `execvp` would run it with a shell.
 */
export async function scriptProblem(script: string): Promise<string | undefined> {
  try {
    if (!(await stat(script)).isFile()) return 'it is not a file';
    await access(script, constants.X_OK);
  } catch (error) {
    switch (errorCode(error)) {
      case 'ENOENT':
        return 'it does not exist';
      case 'EACCES':
        return 'it may not be executed by this user (chmod +x, and a file system that is not mounted noexec)';
      default:
        return errorMessage(error);
    }
  }
  const start = await firstBytes(script);
  if (start === undefined) return undefined;
  if (PROGRAM_MAGICS.includes(start.subarray(0, 4).toString('hex'))) return undefined;
  const [line = ''] = start.toString('latin1').split('\n');
  if (!line.startsWith(HASH_BANG))
    return 'it is not a program, and its first line names no interpreter (#!/usr/bin/...)';
  if (line.endsWith('\r'))
    return 'its first line ends with CR LF: the system looks for an interpreter whose name ends with CR';
  const interpreter = line.slice(HASH_BANG.length).trim().split(/\s/)[0] ?? '';
  try {
    await access(interpreter, constants.X_OK);
  } catch {
    return `its first line names the interpreter "${interpreter}", which does not exist or may not be executed`;
  }
  return undefined;
}

/** Undefined if the file may be executed but not read, as a program may be. */
async function firstBytes(script: string): Promise<Buffer | undefined> {
  try {
    // O_NONBLOCK because the file may have been replaced by a named pipe, and opening that would wait for a writer.
    const file = await open(script, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(256), 0, 256, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}
