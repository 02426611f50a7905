/**
 * Finds the place in the user's own code that an error is about. Stack frames have it, except for an ES module that does
 * not parse: up to Node 20 its SyntaxError names no file, so `node --check` checks the modules involved.
 */
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Location, stackFrames } from '../../errors.ts';
import { isOwnFile } from '../../own-files.ts';
import { withoutTypes } from './experimental-node.ts';
import { TYPESCRIPT } from './typescript-syntax.ts';

const FRAME = /(?:^|[\s(])((?:file:\/\/)?\/[^()\n]*?):(\d+)(?::(\d+))?\)?$/;
const MISSING_IMPORT = /^Cannot find (?:module|package) '([^']+)' imported from (\S.*)$/m;
const RELATIVE_IMPORT = /(?:\bfrom|\bimport|\brequire)\s*\(?\s*(['"])(\.{1,2}\/[^'"\n]+)\1/g;

/** The largest number of modules whose syntax is checked. */
const MAX_MODULES = 200;

/** @param entry The module whose import failed. */
export async function placeOfError(error: unknown, entry: string): Promise<Location | undefined> {
  return (
    (await placeOfImport(error)) ??
    placeInStack(error) ??
    (error instanceof SyntaxError ? placeOfSyntaxError(entry) : undefined)
  );
}

/** The line of an import that cannot be found; Node names the importing file, but no line. */
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
    : // The last one: before it the module may be bound to the same name.
      { file: importer, line: line + 1, column: (lines[line] ?? '').lastIndexOf(name) + 1 };
}

/** The first stack frame outside Node and node_modules, or else the first one. */
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

/** The newest module first: it has most likely just been saved. Each check starts a process. */
async function placeOfSyntaxError(entry: string): Promise<Location | undefined> {
  const modules = await modulesFrom(entry);
  for (const { file } of modules.sort((one, other) => other.modified - one.modified)) {
    const place = await checkSyntax(file);
    if (place) return place;
  }
  return undefined;
}

/** A module and those that it imports by relative paths, directly or not, with the time of their last change. */
async function modulesFrom(entry: string): Promise<{ readonly file: string; readonly modified: number }[]> {
  const files = new Set([entry]);
  const modules: { readonly file: string; readonly modified: number }[] = [];
  for (const file of files) {
    const found = await stat(file).catch(() => undefined);
    if (!found) continue;
    modules.push({ file, modified: found.mtimeMs });
    for (const imported of await relativeImports(file)) if (files.size < MAX_MODULES) files.add(imported);
  }
  return modules;
}

async function relativeImports(file: string): Promise<string[]> {
  const source = await readFile(file, 'utf8').catch(() => '');
  return [...source.matchAll(RELATIVE_IMPORT)].map((match) => resolve(dirname(file), match[2] ?? ''));
}

/** `node --check` reports nothing for a `.js` file of a package without a "type", so such a file is checked as a module too. */
async function checkSyntax(file: string): Promise<Location | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const place = TYPESCRIPT.test(file)
    ? await moduleSyntaxError(withoutTypes(text) ?? '')
    : ((await syntaxErrorFoundByNode(['--check', file])) ?? (await moduleSyntaxError(text)));
  return place && { file, ...place };
}

function moduleSyntaxError(text: string): Promise<Omit<Location, 'file'> | undefined> {
  return syntaxErrorFoundByNode(['--input-type=module', '--check', '-'], text);
}

/** Where Node finds a syntax error; `input` is the program's text if it is not in a file. */
async function syntaxErrorFoundByNode(
  args: readonly string[],
  input?: string,
): Promise<Omit<Location, 'file'> | undefined> {
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
    // Node may exit before it has read all input.
    stdin?.on('error', () => {});
    stdin?.end(input);
  });
}
