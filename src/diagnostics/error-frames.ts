/** The places that an error names: of configuration files, and the call sites of its stack and of its causes. */
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ErrorList, type Location, PasterError, stackFrames } from '../errors.ts';
import { isOwnFile } from '../own-files.ts';

/** Whose code a place is in. Readers first look for their own, so that of others can be folded. */
export type FrameOrigin = 'project' | 'package' | 'node' | 'paster';

export interface ErrorFrame {
  /** An absolute path, or the name of a module of Node (`node:internal/...`). */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The function that is called, or the section of a configuration file. */
  readonly name: string | undefined;
  readonly origin: FrameOrigin;
  /** The place is in a configuration file, not in a stack. */
  readonly isConfiguration: boolean;
}

const MAX_CAUSES = 8;

/** An error and its causes. */
export function causesOf(error: unknown): unknown[] {
  const chain: unknown[] = [];
  let each = error;
  do {
    chain.push(each);
    each = each instanceof Error ? each.cause : undefined;
  } while (each !== undefined && chain.length < MAX_CAUSES);
  return chain;
}

/** The places of an error and then those of its causes, each line once. */
export function errorFrames(error: unknown): ErrorFrame[] {
  const frames = configurationFrames(error);
  // The stack of an error of paster's own leads to paster's code, which does not help with an error in the user's files.
  const thrown = error instanceof PasterError ? error.cause : error;
  for (const cause of causesOf(thrown)) {
    if (cause instanceof Error) for (const line of stackFrames(cause)) frames.push(...parseFrame(line));
  }
  const seen = new Set<string>();
  return frames.filter(({ file, line }) => {
    const place = `${file}:${line}`;
    const isNew = !seen.has(place);
    seen.add(place);
    return isNew;
  });
}

/** The places that errors of paster name, with their sections. */
function configurationFrames(error: unknown): ErrorFrame[] {
  const errors = error instanceof ErrorList ? error.errors : [error];
  return errors.flatMap((each) =>
    each instanceof PasterError && each.location ? [configurationFrame(each.location, each.section)] : [],
  );
}

function configurationFrame(location: Location, section: string | undefined): ErrorFrame {
  return { ...location, name: section && `[${section}]`, origin: 'project', isConfiguration: true };
}

const PLACE = /^(.*):(\d{1,9}):(\d{1,9})$/;

/** One line of V8's: `    at name (file:line:column)`, or without a name. Lines without a place are left out. */
function parseFrame(text: string): ErrorFrame[] {
  const site = text.trim().replace(/^at (?:async )?/, '');
  const open = site.endsWith(')') ? site.indexOf(' (') : -1;
  const [, written = '', line, column] = PLACE.exec(open === -1 ? site : site.slice(open + 2, -1)) ?? [];
  const file = pathOf(written);
  if (file === undefined) return [];
  const name = open === -1 ? undefined : site.slice(0, open);
  return [{ file, line: Number(line), column: Number(column), name, origin: originOf(file), isConfiguration: false }];
}

function pathOf(written: string): string | undefined {
  if (written.startsWith('node:') || isAbsolute(written)) return written;
  try {
    return written.startsWith('file:') ? fileURLToPath(written) : undefined;
  } catch {
    return undefined;
  }
}

function originOf(file: string): FrameOrigin {
  if (file.startsWith('node:')) return 'node';
  if (isOwnFile(file)) return 'paster';
  return file.includes('/node_modules/') ? 'package' : 'project';
}
