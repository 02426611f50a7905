/** Writes a project's files: what is there already and differs is kept unless the user says otherwise. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCode, errorMessage, RunError } from '../errors.ts';
import type { ProjectFile } from './template.ts';

/** What became of a file; `kept` differs from the template's. */
export type Outcome = 'created' | 'same' | 'kept' | 'overwritten';

export interface WriteOptions {
  readonly overwrite: boolean;
  /** Touch nothing, only tell. */
  readonly simulate: boolean;
}

/** @throws RunError when a file or directory cannot be written. */
export async function writeProject(
  root: string,
  files: readonly ProjectFile[],
  options: WriteOptions,
  tell: (outcome: Outcome, path: string) => void,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const file of files) {
    const path = join(root, file.path);
    try {
      const outcome = await outcomeOf(path, file, options.overwrite);
      if (!options.simulate && (outcome === 'created' || outcome === 'overwritten')) await writeWhole(path, file);
      outcomes.push(outcome);
      tell(outcome, file.path);
    } catch (error) {
      throw new RunError('PASTER_WRITE', `cannot write ${path}: ${errorMessage(error)}`, { cause: error });
    }
  }
  return outcomes;
}

async function outcomeOf(path: string, file: ProjectFile, overwrite: boolean): Promise<Outcome> {
  try {
    if ((await readFile(path)).equals(file.content)) return 'same';
    return overwrite ? 'overwritten' : 'kept';
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 'created';
    throw error;
  }
}

/** Under another name first, so that an interrupted run leaves no half of a file behind. */
async function writeWhole(path: string, file: ProjectFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.paster-${process.pid}`);
  await writeFile(temporary, file.content, { mode: file.mode });
  await rename(temporary, path);
}
