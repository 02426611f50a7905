/**
 * `lstat` and `fstat` for files that may be sockets. On Node 20 and 22, `fs.realpathSync()` uses the result of the last
 * synchronous stat, even of another file: after a stat of a socket or a FIFO it returns a path with its symbolic links. Node's
 * module loader calls it, and would load packages behind links a second time: with pnpm, every package that the application
 * imports later. For this reason each function here ends with a stat of a directory.
 */
import { fstatSync, lstatSync, type Stats, statSync } from 'node:fs';

/** As `lstatSync`, undefined if there is nothing of this name. */
export function lstatSocket(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } finally {
    statSync('/');
  }
}

/** As `fstatSync`. */
export function fstatSocket(fd: number): Stats {
  try {
    return fstatSync(fd);
  } finally {
    statSync('/');
  }
}
