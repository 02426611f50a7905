/** Warns of patterns of `reload_files` that match no file: they may be misspelt, or relative to another directory. */
import type { IniDocument, IniEntry } from '../../config/ini/ini.ts';
import { ESCAPED_WORD } from '../../config/settings/convert.ts';
import { type Context, sectionPlace, sectionPrefix } from '../../deploy/context.ts';
import { RELOAD_FILES } from '../../deploy/sections/section-config.ts';
import type { LoadSession } from '../../deploy/session.ts';
import { isSkipped, statOf, treeBelow } from '../../process/reload/file-state.ts';
import { parseGlob } from '../../process/reload/glob.ts';
import { reloadPatternsOf } from '../../serve/plan.ts';
import { workingDirectory } from '../../working-directory.ts';

/**
 * Warns of each pattern of a part that matches no file. It is no error: `serve --reload` notices a file that is created later.
 */
export function warnOfUnmatchedFiles(context: Context, document: IniDocument, session: LoadSession): void {
  const { own, global } = reloadPatternsOf(context, workingDirectory());
  const check = (patterns: readonly string[], prefix: string, entry: IniEntry | undefined) => {
    const words = [...(entry?.value ?? '').matchAll(ESCAPED_WORD)];
    for (const [index, pattern] of patterns.entries()) {
      const location = entry?.locate(words[index]?.index ?? 0) ?? sectionPlace(context);
      // A value that cannot be interpolated is reported already.
      if (location === undefined || pattern.includes('%(') || matchesFile(pattern)) continue;
      session.warn(`${prefix}reload_files: no file matches ${unescaped(pattern)} yet`, location);
    }
  };
  const shared = globalEntry(context, document);
  check(own, sectionPrefix(context), context.origins.get(RELOAD_FILES));
  check(global, shared?.prefix ?? '', shared?.entry);
}

/** `set reload_files` in a section of the part, or `reload_files` of [DEFAULT]; none if the command line gives it. */
function globalEntry({ sections }: Context, { file, sections: all, defaults }: IniDocument) {
  for (const { name } of sections.filter((section) => section.file === file)) {
    const entry = all.get(name)?.entries.get(`set ${RELOAD_FILES}`);
    if (entry) return { entry, prefix: `[${name}] ` };
  }
  const entry = defaults.entries.get(RELOAD_FILES);
  return entry && { entry, prefix: '[DEFAULT] ' };
}

function matchesFile(pattern: string): boolean {
  const { base, magic, matches } = parseGlob(pattern);
  if (!magic && statOf(base)?.isFile()) return true;
  return treeBelow(base).files.some((path) => !isSkipped(path) && matches(path));
}

/** A pattern without the backslashes before characters that are literal. */
function unescaped(pattern: string): string {
  return pattern.replace(/\\(.)/gs, '$1');
}
