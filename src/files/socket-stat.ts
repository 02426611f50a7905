/**
 * `lstat` and `fstat` of what may be a socket. On Node 20 and 22, `fs.realpathSync()` looks at the result of the last synchronous
 * stat, whatever it was of: after one of a socket or a FIFO it returns a path with its symbolic links. Node's module loader
 * calls it, so that it would load packages behind links a second time: with pnpm, every package that the application
 * imports later. So a stat of a directory follows here.
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
