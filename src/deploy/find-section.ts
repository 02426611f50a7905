/** Finds the section that a name means (paste.deploy.loadwsgi, `find_config_section`), and section names that are typing errors. */
import type { IniDocument, IniSection } from '../config/ini.ts';
import { nearest } from '../config/nearest.ts';
import { ConfigError, type Location } from '../errors.ts';
import { KINDS, type PartKind } from './kinds.ts';
import { sectionsNamed } from './section-index.ts';

/**
 * The section that a name means, by the prefixes of the kind.
 *
 * @param documents The first one that has such a section decides.
 * @throws ConfigError if there is none, or more than one in that document.
 */
export function findSection(
  documents: readonly [IniDocument, ...IniDocument[]],
  kind: PartKind,
  name: string | undefined,
  from: Location | undefined,
): IniSection {
  const { prefixes } = KINDS[kind];
  const [section, ...others] = firstMatching(documents, prefixes, name);
  if (section && others.length === 0) return section;
  const wanted = `[${prefixes[0]?.[0]}:${name ?? 'main'}]`;
  const location = from ?? { file: documents[0].file, line: 1, column: 1 };
  if (section) {
    throw new ConfigError(
      'PASTER_SECTION_AMBIGUOUS',
      `${wanted} is ambiguous: ${[section, ...others].map((each) => `[${each.name}] in line ${each.location.line}`).join(', ')}`,
      { location: from ?? section.location, hint: 'rename one of them' },
    );
  }
  const names = documents.flatMap(({ sections }) => [...sections.keys()]);
  const candidates = [...new Set(names)].filter((each) =>
    prefixes.flat().some((prefix) => each === prefix || each.startsWith(`${prefix}:`)),
  );
  const meant = nearest(`${prefixes[0]?.[0]}:${name ?? 'main'}`, candidates) ?? nearest(name ?? 'main', candidates);
  // A reference can be corrected; the default name is paster's own, so there the section is what has to change.
  const cure = name === undefined ? `rename [${meant}] to ${wanted}` : `did you mean [${meant}]?`;
  throw new ConfigError('PASTER_SECTION_MISSING', `there is no section ${wanted}${placesLookedIn(documents, from)}`, {
    location,
    hint:
      candidates.length === 0
        ? `no section name starts with ${prefixes.flat().join(', ')}`
        : meant
          ? cure
          : `there are: ${candidates.map((each) => `[${each}]`).join(', ')}`,
  });
}

const misspelt = new WeakMap<IniDocument, readonly ConfigError[]>();

/**
 * An error for each section whose prefix is nearly one of paster's: `[sevrer:main]`, `[App:main]`. Sections of other
 * programs, such as `[loggers]` or `[tool:pytest]`, are none of our business. Paste ignores both.
 */
export function misspeltSections(document: IniDocument): readonly ConfigError[] {
  let errors = misspelt.get(document);
  if (!errors) {
    errors = [...document.sections.values()].flatMap((section) => misspeltSection(section) ?? []);
    misspelt.set(document, errors);
  }
  return errors;
}

const PREFIXES: readonly string[] = Object.values(KINDS).flatMap(({ prefixes }) => prefixes.flat());

function misspeltSection({ name, location }: IniSection): ConfigError | undefined {
  const colon = name.indexOf(':');
  const prefix = name.slice(0, Math.max(colon, 0));
  if (prefix === '' || PREFIXES.includes(prefix)) return undefined;
  const meant = nearest(prefix, PREFIXES);
  if (meant === undefined) return undefined;
  return new ConfigError('PASTER_SECTION_KIND', `there is no kind of section "${prefix}:"`, {
    location,
    hint: `rename [${name}] to [${meant}${name.slice(colon)}]`,
  });
}

/** The matching sections of the first document that has any. */
function firstMatching(
  documents: readonly IniDocument[],
  prefixes: readonly (readonly string[])[],
  name: string | undefined,
): IniSection[] {
  for (const document of documents) {
    const found = matching(document, prefixes, name ?? 'main');
    // Departure: Paste documents the bare section for "main", but never looks for it.
    if (found.length === 0 && name === undefined) found.push(...matching(document, prefixes, undefined));
    if (found.length > 0) return found;
  }
  return [];
}

/** The error's location names one file; a name that was looked up in several needs the others too. */
function placesLookedIn([first, ...others]: readonly IniDocument[], from: Location | undefined): string {
  if (others.length > 0) return ` in ${[first, ...others].map((each) => each?.file).join(' or ')}`;
  return from ? '' : ' in this file';
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
