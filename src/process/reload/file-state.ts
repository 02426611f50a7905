/** What is at a path right now: its content as a hash, where a link leads, what is below a directory. */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  type Stats,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** The hash of a path without content. */
export const MISSING = 'missing';
/** Differs from the hash of every path. */
export const UNKNOWN = 'unknown';
export const EMPTY = digest('');

/** Directories in which patterns match nothing, as a part of a path. */
const SKIPPED = /[\\/](?:node_modules|\.git|\.hg|\.svn)(?:[\\/]|$)/;

export function isSkipped(path: string): boolean {
  return SKIPPED.test(path);
}

/** The hash of a link includes its target, which may become another directory, or another file with the same content. */
export function contentHash(file: string): string {
  const target = linkTarget(file);
  const content = contentOf(file);
  if (target === undefined) return content ? digest(content) : MISSING;
  return digest(`${target}\n${content ? digest(content) : MISSING}`);
}

/** Only files have content. `O_NONBLOCK`: does not wait for a writer of a FIFO. */
function contentOf(file: string): Buffer | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    return fstatSync(fd).isFile() ? readFileSync(fd) : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function digest(content: string | Buffer): string {
  return createHash('sha1').update(content).digest('base64');
}

export function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function lstatOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** When a file, or a link to one or to a directory, was last written or renamed (milliseconds since 1970); 0 if there is none. */
export function changedAt(path: string): number {
  const found = [statOf(path), lstatOf(path)].filter((each) => each?.isFile() || each?.isSymbolicLink());
  return Math.max(0, ...found.flatMap((each) => (each ? [each.mtimeMs, each.ctimeMs] : [])));
}

export function isDirectory(path: string): boolean {
  return statOf(path)?.isDirectory() ?? false;
}

/** The outermost missing directory on the way to a directory, itself included; undefined if the directory exists. */
export function firstMissing(directory: string): string | undefined {
  let missing: string | undefined;
  for (let at = directory; !existsSync(at); at = dirname(at)) missing = at;
  return missing;
}

/** What is below a directory, without skipped directories. */
export function treeBelow(directory: string, tree: Tree = { files: [], directories: [] }): Tree {
  for (const entry of entriesOf(directory)) {
    const path = join(directory, entry.name);
    if (!entry.isDirectory()) tree.files.push(path);
    else if (!isSkipped(path)) {
      tree.directories.push(path);
      treeBelow(path, tree);
    }
  }
  return tree;
}

interface Tree {
  readonly files: string[];
  readonly directories: string[];
}

function entriesOf(directory: string) {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
}
