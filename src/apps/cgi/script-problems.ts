/** Why the operating system would not run a script, in words that lead to what is to be done. */
import { constants } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { errorCode, errorMessage } from '../../errors.ts';

const HASH_BANG = '#!';
/** Programs of Linux (ELF) and macOS (Mach-O, of one architecture or several). */
const MAGICS = ['7f454c46', 'feedface', 'feedfacf', 'cefaedfe', 'cffaedfe', 'cafebabe'];

/**
 * What is wrong with a script, before it is run; undefined: nothing that can be seen. A file that is neither a program nor
 * names its interpreter must not even be tried: the C library's `execvp` would give it to a shell.
 */
export async function scriptProblem(script: string): Promise<string | undefined> {
  try {
    if (!(await stat(script)).isFile()) return 'it is not a file';
    await access(script, constants.X_OK);
  } catch (error) {
    switch (errorCode(error)) {
      case 'ENOENT':
        return 'it is not there';
      case 'EACCES':
        return 'it may not be executed by this user (chmod +x, and a file system that is not mounted noexec)';
      default:
        return errorMessage(error);
    }
  }
  const start = await firstBytes(script);
  if (start === undefined) return undefined;
  if (MAGICS.includes(start.subarray(0, 4).toString('hex'))) return undefined;
  const [line = ''] = start.toString('latin1').split('\n');
  if (!line.startsWith(HASH_BANG)) return 'it is no program, and its first line names no interpreter (#!/usr/bin/...)';
  if (line.endsWith('\r')) return 'its first line ends with CR LF: the interpreter is looked for by a name with a CR';
  const interpreter = line.slice(HASH_BANG.length).trim().split(/\s/)[0] ?? '';
  try {
    await access(interpreter, constants.X_OK);
  } catch {
    return `its first line names the interpreter "${interpreter}", which is not there or may not be executed`;
  }
  return undefined;
}

/** Undefined: it may be executed, but not read, as a program may. */
async function firstBytes(script: string): Promise<Buffer | undefined> {
  try {
    // A named pipe may have come in its place: opening one would wait for a writer.
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
