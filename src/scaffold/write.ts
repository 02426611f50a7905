/**
 * Writes files into a directory, all of them or none. They are written to a temporary directory beside it and then moved
 * into place synchronously, so that no signal can interrupt that; if a move fails, the earlier ones are undone. Lines are added
 * to the file behind a symbolic link, and the link stays.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { errorCode, errorMessage, RunError } from '../errors.ts';
import { Interruption } from './interruption.ts';
import type { ProjectFile } from './project-files.ts';

/** A file, and the content that its path has now, if it exists. */
export interface Comparison {
  readonly file: ProjectFile;
  readonly existing: Buffer | undefined;
}

/** What to do with a file that differs from the existing one. `backed up`: replace it and keep the existing one as `.bak`. */
export type Decision = 'kept' | 'overwritten' | 'backed up';

/** What happens to a file. `same`: it exists with this content. `extended`: lines are added to it. */
export type Outcome = Decision | 'created' | 'same' | 'extended';

/** A file, and what will happen to it. */
export interface PlannedFile {
  readonly file: ProjectFile;
  readonly outcome: Outcome;
}

/**
 * Reads which of `files` exist below `root`, without writing anything.
 * @throws RunError if there is a file instead of a directory or the reverse, or if something cannot be read
 */
export async function compareFiles(root: string, files: readonly ProjectFile[]): Promise<Comparison[]> {
  return Promise.all(files.map(async (file) => ({ file, existing: await readExisting(join(root, file.path)) })));
}

async function readExisting(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT') return undefined;
    if (code === 'EISDIR') throw cannotWrite(path, 'there is a directory of this name');
    if (code === 'ENOTDIR') throw cannotWrite(path, `${existingAncestor(path)} is a file, not a directory`);
    throw cannotWrite(path, reasonOf(error), error);
  }
}

/** Calls `decide` for each file that differs from the existing one. */
export async function planFiles(
  comparisons: readonly Comparison[],
  decide: (file: ProjectFile, existing: Buffer) => Decision | Promise<Decision>,
): Promise<PlannedFile[]> {
  const planned: PlannedFile[] = [];
  for (const { file, existing } of comparisons) {
    const outcome =
      existing === undefined
        ? 'created'
        : existing.equals(file.content)
          ? 'same'
          : file.isExtension
            ? 'extended'
            : await decide(file, existing);
    planned.push({ file, outcome });
  }
  return planned;
}

/**
 * Writes the files of `planned` that are new or replaced.
 *
 * @param signal if it is aborted, nothing is written, unless all files are already
 * @throws RunError if something cannot be written, Interruption if `signal` was aborted; then nothing has changed
 */
export async function writeFiles(root: string, planned: readonly PlannedFile[], signal?: AbortSignal): Promise<void> {
  const changes = planned.filter(({ outcome }) => outcome !== 'same' && outcome !== 'kept');
  if (changes.length === 0) return;
  const base = existingAncestor(root);
  const stage = await stagingDirectory(base);
  try {
    for (const { file } of changes) {
      if (signal?.aborted) throw new Interruption();
      const path = join(stage, 'new', relative(base, join(root, file.path)));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, file.content, { mode: file.mode });
    }
    moveAll(
      changes.map(({ file, outcome }) => ({ path: relative(base, join(root, file.path)), outcome })),
      stage,
      base,
    );
  } catch (error) {
    if (error instanceof Interruption) throw error;
    throw cannotWrite(root, reasonOf(error), error);
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

async function stagingDirectory(base: string): Promise<string> {
  try {
    await access(base, constants.W_OK);
    return await mkdtemp(join(base, '.paster-'));
  } catch (error) {
    throw cannotWrite(base, reasonOf(error), error);
  }
}

/**
 * Moves the staged files into place below `base`: a new directory as a whole, a file instead of the existing one.
 */
function moveAll(
  changes: readonly { readonly path: string; readonly outcome: Outcome }[],
  stage: string,
  base: string,
): void {
  mkdirSync(join(stage, 'old'));
  const undo: (() => void)[] = [];
  const move = (from: string, to: string): void => {
    renameSync(from, to);
    undo.push(() => renameSync(to, from));
  };
  // Computed before anything is moved, since moving a new directory creates everything in it.
  const moves = new Map(changes.map(({ path, outcome }) => [topmostMissing(base, path), outcome]));
  try {
    for (const [path, outcome] of moves) {
      const target = join(base, path);
      if (outcome === 'extended' && isLinkToFile(target)) {
        undo.push(writeThroughLink(target, readFileSync(join(stage, 'new', path))));
        continue;
      }
      if (outcome === 'overwritten' || outcome === 'extended') move(target, join(stage, 'old', String(undo.length)));
      if (outcome === 'backed up') move(target, backupOf(target));
      move(join(stage, 'new', path), target);
    }
  } catch (error) {
    for (const step of undo.reverse()) step();
    throw error;
  }
}

/** The first part of `path` below `base` that does not exist yet, or the whole path. */
function topmostMissing(base: string, path: string): string {
  const parts = path.split(sep);
  const missing = parts.findIndex((_, index) => !exists(join(base, ...parts.slice(0, index + 1))));
  return missing === -1 ? path : join(...parts.slice(0, missing + 1));
}

/** `app.js.bak`, or the first of `app.js.bak2`, `app.js.bak3`, ... that does not exist, as in PasteScript. */
function backupOf(path: string): string {
  for (let count = 1; ; count++) {
    const backup = `${path}.bak${count === 1 ? '' : count}`;
    if (!exists(backup)) return backup;
  }
}

/** The nearest path at or above `path` that exists: a directory, or a file that is in the way. */
function existingAncestor(path: string): string {
  for (let each = resolve(path); ; each = dirname(each)) {
    if (exists(each) || dirname(each) === each) return each;
  }
}

function exists(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (errorCode(error) === 'ENOTDIR') return false;
    throw error;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left',
  ENOTDIR: 'a part of its path is a file, not a directory',
};

function reasonOf(error: unknown): string {
  return REASONS[errorCode(error) ?? ''] ?? errorMessage(error);
}

function cannotWrite(path: string, reason: string, cause?: unknown): RunError {
  return new RunError('PASTER_WRITE', `cannot write ${path}: ${reason}`, { cause });
}

// --- the file behind a symbolic link: the link stays, and other places that link to the file see the change

/** Whether `path` is a symbolic link to a file that exists. */
function isLinkToFile(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink() && statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * Replaces the content of the file behind the link. A link that another user made must lead to a file of that user: otherwise
 * it could make the user of this process, such as root, change a file that the owner of the link must not change.
 *
 * @returns a function that restores the content
 * @throws Error if the link is not followed, or the file cannot be written
 */
function writeThroughLink(link: string, content: Buffer): () => void {
  const linkOwner = lstatSync(link).uid;
  const file = realpathSync(link);
  const write = (data: Buffer): void => {
    const fd = openSync(file, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(fd);
      if (!stats.isFile()) throw new Error(`${file} is not a regular file`);
      if (linkOwner !== process.geteuid?.() && linkOwner !== stats.uid) {
        throw new Error(`another user made this link, and ${file} does not belong to that user`);
      }
      ftruncateSync(fd);
      for (let at = 0; at < data.length; ) at += writeSync(fd, data, at);
    } finally {
      closeSync(fd);
    }
  };
  const before = readFileSync(file);
  try {
    write(content);
  } catch (error) {
    try {
      write(before);
    } catch {
      // The first error is reported.
    }
    throw error;
  }
  return () => write(before);
}
