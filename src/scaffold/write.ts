/**
 * Writes files into a directory, all of them or none: they are written beside it first and moved into place in one go,
 * which no signal comes between; what fails in the middle is taken back.
 */
import { constants, mkdirSync, renameSync, statSync } from 'node:fs';
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { errorCode, errorMessage, RunError } from '../errors.ts';
import { Interruption } from './interruption.ts';
import type { ProjectFile } from './project-files.ts';

/** A file, and what is at its place now; nothing, if there is none. */
export interface Comparison {
  readonly file: ProjectFile;
  readonly present: Buffer | undefined;
}

/** What is to become of a file that differs from what is there. `backed up` is replaced, and what was there is kept. */
export type Decision = 'kept' | 'overwritten' | 'backed up';

/** What became of a file; `same` is there already. */
export type Outcome = Decision | 'created' | 'same';

/** A file with what is to become of it. */
export interface PlannedFile {
  readonly file: ProjectFile;
  readonly outcome: Outcome;
}

/**
 * Looks what there is of `files` below `root`; nothing is written.
 * @throws RunError where a file stands for a directory or a directory for a file, or something cannot be read.
 */
export async function compareFiles(root: string, files: readonly ProjectFile[]): Promise<Comparison[]> {
  return Promise.all(files.map(async (file) => ({ file, present: await presentAt(join(root, file.path)) })));
}

async function presentAt(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT') return undefined;
    if (code === 'EISDIR') throw cannotWrite(path, 'there is a directory of this name');
    if (code === 'ENOTDIR')
      throw cannotWrite(path, `${existingAncestor(path)} is a file, and would have to be a directory`);
    throw cannotWrite(path, reasonOf(error), error);
  }
}

/** Asks `decide` about each file that differs from what is there. */
export async function planFiles(
  comparisons: readonly Comparison[],
  decide: (file: ProjectFile, present: Buffer) => Decision | Promise<Decision>,
): Promise<PlannedFile[]> {
  const planned: PlannedFile[] = [];
  for (const { file, present } of comparisons) {
    const outcome =
      present === undefined ? 'created' : present.equals(file.content) ? 'same' : await decide(file, present);
    planned.push({ file, outcome });
  }
  return planned;
}

/**
 * Writes what is to be written of `planned`.
 *
 * @param signal aborted: nothing is written, or all of it is already
 * @throws RunError when something cannot be written, Interruption when `signal` was aborted; then all is as it was.
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

/** Moves what is staged to its place below `base`: a new directory whole, a file over the one that was there. */
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
  // Before anything is moved: afterwards a new directory is there, and the rest of it with it.
  const moves = new Map(changes.map(({ path, outcome }) => [topmostMissing(base, path), outcome]));
  try {
    for (const [path, outcome] of moves) {
      const target = join(base, path);
      if (outcome === 'overwritten') move(target, join(stage, 'old', String(undo.length)));
      if (outcome === 'backed up') move(target, backupOf(target));
      move(join(stage, 'new', path), target);
    }
  } catch (error) {
    for (const step of undo.reverse()) step();
    throw error;
  }
}

/** The first part of `path` below `base` that is not there yet, or the whole path. */
function topmostMissing(base: string, path: string): string {
  const parts = path.split(sep);
  const missing = parts.findIndex((_, index) => !exists(join(base, ...parts.slice(0, index + 1))));
  return missing === -1 ? path : join(...parts.slice(0, missing + 1));
}

/** `app.js.bak`, or the first of `app.js.bak2`, `app.js.bak3`, ... that is free, as PasteScript has it. */
function backupOf(path: string): string {
  for (let count = 1; ; count++) {
    const backup = `${path}.bak${count === 1 ? '' : count}`;
    if (!exists(backup)) return backup;
  }
}

/** The nearest directory at or above `path` that is there; a file, if one stands in the way. */
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
  ENOTDIR: 'it is a file, and would have to be a directory',
};

function reasonOf(error: unknown): string {
  return REASONS[errorCode(error) ?? ''] ?? errorMessage(error);
}

function cannotWrite(path: string, reason: string, cause?: unknown): RunError {
  return new RunError('PASTER_WRITE', `cannot write ${path}: ${reason}`, { cause });
}
