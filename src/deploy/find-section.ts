/** Finds the section that a name means (paste.deploy.loadwsgi, `find_config_section`). */
import type { IniDocument, IniSection } from '../config/ini.ts';
import { nearest } from '../config/nearest.ts';
import { ConfigError, type Location } from '../errors.ts';
import { KINDS, type PartKind } from './kinds.ts';
import { sectionsNamed } from './section-index.ts';

/**
 * The section of a document that a name means, by the prefixes of the kind.
 * @throws ConfigError if there is none, or more than one.
 */
export function findSection(
  document: IniDocument,
  kind: PartKind,
  name: string | undefined,
  from: Location | undefined,
): IniSection {
  const { sections } = document;
  const { prefixes } = KINDS[kind];
  const found = matching(document, prefixes, name ?? 'main');
  // Departure: Paste documents the bare section for "main", but never looks for it.
  if (found.length === 0 && name === undefined) found.push(...matching(document, prefixes, undefined));
  const [section, ...others] = found;
  if (section && others.length === 0) return section;
  const wanted = `[${prefixes[0]?.[0]}:${name ?? 'main'}]`;
  const location = from ?? { file: document.file, line: 1, column: 1 };
  if (section) {
    throw new ConfigError(
      'PASTER_SECTION_AMBIGUOUS',
      `${wanted} is ambiguous: ${found.map((each) => `[${each.name}] in line ${each.location.line}`).join(', ')}`,
      { location: from ?? section.location, hint: 'rename one of them' },
    );
  }
  const candidates = [...sections.keys()].filter((each) =>
    prefixes.flat().some((prefix) => each === prefix || each.startsWith(`${prefix}:`)),
  );
  const meant = nearest(`${prefixes[0]?.[0]}:${name ?? 'main'}`, candidates) ?? nearest(name ?? 'main', candidates);
  throw new ConfigError(
    'PASTER_SECTION_MISSING',
    from ? `there is no section ${wanted}` : `there is no section ${wanted} in this file`,
    {
      location,
      hint:
        candidates.length === 0
          ? `no section of this file begins with ${prefixes.flat().join(', ')}`
          : meant
            ? `did you mean [${meant}]?`
            : `there are: ${candidates.map((each) => `[${each}]`).join(', ')}`,
    },
  );
}

/** Of each list of spellings, the sections with the first that there are any of. */
function matching(
  document: IniDocument,
  prefixes: readonly (readonly string[])[],
  name: string | undefined,
): IniSection[] {
  return prefixes.flatMap((spellings) => {
    for (const prefix of spellings) {
      const found = sectionsNamed(document, prefix, name);
      if (found.length > 0) return found;
    }
    return [];
  });
}
