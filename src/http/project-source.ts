/** The sources that an error page may show: the project's own code, and nothing else that is on the disk. */

import { existsSync } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { dirname, extname, join, relative, sep } from 'node:path';
import { workingDirectory } from '../working-directory.ts';

const SOURCES = new Set(['.js', '.mjs', '.cjs', '.jsx', '.ts', '.mts', '.cts', '.tsx']);
const LARGEST = 2_000_000;

export function isSource(file: string): boolean {
  return SOURCES.has(extname(file));
}

/**
 * The text of a source of the project, whether its name is a link or not.
 * @param directory a directory of the project
 */
export async function readProjectSource(file: string, directory: string): Promise<string | undefined> {
  const roots = await Promise.all([directory, workingDirectory()].map((each) => realpath(projectOf(each))));
  const real = await realpath(file);
  if (!isSource(real) || !roots.some((root) => isBelow(root, real))) return undefined;
  const opened = await open(real, 'r');
  try {
    const state = await opened.stat();
    return state.isFile() && state.size <= LARGEST ? await opened.readFile('utf8') : undefined;
  } finally {
    await opened.close();
  }
}

/** The nearest directory with a package.json, from a directory upwards; without one, the directory itself. */
function projectOf(directory: string): string {
  for (let each = directory; each !== dirname(each); each = dirname(each)) {
    if (existsSync(join(each, 'package.json'))) return each;
  }
  return directory;
}

/** Dependencies and what is hidden are not the project's own. Nor is everything, where a process runs in `/`. */
function isBelow(root: string, file: string): boolean {
  const parts = relative(root, file).split(sep);
  return (
    root !== dirname(root) && !parts.some((part) => part.startsWith('.') || part === 'node_modules' || part === '')
  );
}
