/**
 * Finds the place in the user's own code that an error is about. Stack frames say it, but for an ES module that does
 * not parse: up to Node 20 its SyntaxError names no file, so `node --check` is asked about the modules involved.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Location, stackFrames } from '../errors.ts';
import { isOwnFile } from '../own-files.ts';

const FRAME = /(?:^|[\s(])((?:file:\/\/)?\/[^()\n]*?):(\d+)(?::(\d+))?\)?$/;
const MISSING_IMPORT = /^Cannot find (?:module|package) '([^']+)' imported from (\S.*)$/m;
const RELATIVE_IMPORT = /(?:\bfrom|\bimport|\brequire)\s*\(?\s*(['"])(\.{1,2}\/[^'"\n]+)\1/g;

/** How many modules are checked for syntax before giving up. */
const MOST_MODULES = 200;

/** @param entry The module whose import failed. */
export async function placeOfError(error: unknown, entry: string): Promise<Location | undefined> {
  return (
    (await placeOfImport(error)) ??
    placeInStack(error) ??
    (error instanceof SyntaxError ? placeOfSyntaxError(entry) : undefined)
  );
}

/** The line that imports what cannot be found; Node names both, but no line. */
async function placeOfImport(error: unknown): Promise<Location | undefined> {
  const match = error instanceof Error ? MISSING_IMPORT.exec(error.message) : null;
  const [, missing, importer] = match ?? [];
  if (missing === undefined || importer === undefined) return undefined;
  const source = await readFile(importer, 'utf8').catch(() => undefined);
  if (source === undefined) return undefined;
  const lines = source.split('\n');
  const name = missing.slice(missing.lastIndexOf('/') + 1);
  const line = lines.findIndex((each) => /\b(?:import|from)\b/.test(each) && each.includes(name));
  return line === -1
    ? { file: importer, line: 1, column: 1 }
    : { file: importer, line: line + 1, column: (lines[line] ?? '').indexOf(name) + 1 };
}

/** The first frame outside Node and node_modules, or the first of all. */
export function placeInStack(error: unknown): Location | undefined {
  if (!(error instanceof Error) || typeof error.stack !== 'string') return undefined;
  const frames: Location[] = [];
  const callSites = stackFrames(error);
  // Node writes the place of a syntax error before its name.
  for (const line of callSites.length > 0 ? callSites : error.stack.split('\n')) {
    const match = FRAME.exec(line.trim());
    if (!match?.[1]) continue;
    const file = match[1].startsWith('file://') ? fileURLToPath(match[1]) : match[1];
    frames.push({ file, line: Number(match[2]), column: Number(match[3] ?? 1) });
  }
  return frames.find((frame) => !isForeign(frame.file)) ?? frames[0];
}

function isForeign(file: string): boolean {
  return file.includes('/node_modules/') || isOwnFile(file);
}

async function placeOfSyntaxError(entry: string): Promise<Location | undefined> {
  const queue = [entry];
  const seen = new Set(queue);
  for (let file = queue.shift(); file !== undefined && seen.size <= MOST_MODULES; file = queue.shift()) {
    const place = await checkSyntax(file);
    if (place) return place;
    for (const imported of await relativeImports(file)) {
      if (seen.has(imported)) continue;
      seen.add(imported);
      queue.push(imported);
    }
  }
  return undefined;
}

async function relativeImports(file: string): Promise<string[]> {
  const source = await readFile(file, 'utf8').catch(() => '');
  return [...source.matchAll(RELATIVE_IMPORT)].map((match) => resolve(dirname(file), match[2] ?? ''));
}

/** A `.js` file of a package without a type is neither one nor the other to `node --check`, which then says nothing. */
async function checkSyntax(file: string): Promise<Location | undefined> {
  const place =
    (await askNode(['--check', file])) ??
    (await askNode(['--input-type=module', '--check', '-'], await readFile(file, 'utf8').catch(() => '')));
  return place && { file, ...place };
}

/** Where Node finds that a program does not parse; `input` is its text, if it is not in a file. */
async function askNode(args: readonly string[], input?: string): Promise<Omit<Location, 'file'> | undefined> {
  const { execFile } = await import('node:child_process');
  return new Promise((done) => {
    const options = { env: { ...process.env, NODE_OPTIONS: '', FORCE_COLOR: '0' } };
    const { stdin } = execFile(process.execPath, args, options, (_error, _stdout, stderr) => {
      const [first = '', ...rest] = stderr.split('\n');
      const line = /:(\d+)$/.exec(first)?.[1];
      const arrow = rest.find((each) => /^\s*\^+\s*$/.test(each));
      if (line === undefined || !stderr.includes('SyntaxError')) done(undefined);
      else done({ line: Number(line), column: (arrow?.indexOf('^') ?? 0) + 1 });
    });
    // It may have seen enough before it has read all.
    stdin?.on('error', () => {});
    stdin?.end(input);
  });
}
