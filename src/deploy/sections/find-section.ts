/** Finds the section for a name (paste.deploy.loadwsgi, `find_config_section`), and misspelt section names. */
import type { IniDocument, IniSection } from '../../config/ini/ini.ts';
import { nearest } from '../../config/nearest.ts';
import { isSpace, pythonStrip } from '../../config/whitespace.ts';
import { ConfigError, type Location } from '../../errors.ts';
import { isBackground, KINDS, nameOfSection, namesOfKind, type PartKind, WEB } from '../part-kinds.ts';
import type { LoadSession } from '../session.ts';

/**
 * The section for a name, by the prefixes of the kind.
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
  // A reference can be corrected; the default name is fixed, so the section has to be renamed.
  const renamed = name === undefined && meant !== undefined ? documents[0].sections.get(meant) : undefined;
  throw new ConfigError('PASTER_SECTION_MISSING', `there is no section ${wanted}${placesLookedIn(documents, from)}`, {
    location: from ?? renamed?.location ?? { file: documents[0].file, line: 1, column: 1 },
    hint:
      (name !== undefined && hintForName(documents, kind, name)) ||
      (meant !== undefined && (name === undefined ? `rename [${meant}] to ${wanted}` : `did you mean [${meant}]?`)) ||
      (candidates.length > 0 && `there are: ${candidates.map((each) => `[${each}]`).join(', ')}`) ||
      `add ${wanted}${name === undefined && kind === 'server' ? ' with use = npm:paster#http' : ''}`,
  });
}

/**
 * A name of a process or a task must mean one part in `--only` and `--without`: a systemd timer would start the runs of a task
 * that the service of the same name starts too.
 *
 * @throws ConfigError for `web`, and for a task with the name of a process
 */
export function refuseAmbiguousName(kind: PartKind, section: IniSection, { sections }: IniDocument): void {
  if (!isBackground(kind)) return;
  const name = nameOfSection(section.name);
  const other =
    kind === 'task' && namesOfKind(sections.keys(), 'process').includes(name) ? `[process:${name}]` : undefined;
  if (name !== WEB && other === undefined) return;
  throw new ConfigError('PASTER_PROCESS_NAME', `[${section.name}] is not a name for a ${kind}`, {
    location: section.location,
    hint: `"${name}" means ${name === WEB ? 'the web server' : other} in --only and --without: choose another name`,
  });
}

/** `./app.js:makeApp`, `app.js`: a module, which only a URI names. */
const MODULE = /^(?:[^\s:]*\/)?[^\s:/]+\.[cm]?[jt]sx?(?::[\w$.]+)?$/;

/** What is wrong with a name that is no section of this kind: it is quoted, a module, or the name of a filter or an application. */
function hintForName(documents: readonly IniDocument[], kind: PartKind, name: string): string | undefined {
  const quoted = /^(["'])(.+)\1$/.exec(name)?.[2];
  if (quoted !== undefined) return `remove the quotes: use = ${quoted}`;
  if (MODULE.test(name)) {
    const path = name.startsWith('.') || name.startsWith('/') ? name : `./${name}`;
    return `write ${path.includes(':') ? 'call' : 'listen'}:${path}`;
  }
  const other = kind === 'app' ? 'filter' : 'app';
  if (kind === 'server' || !documents.some((each) => firstMatching([each], KINDS[other].prefixes, name).length > 0)) {
    return undefined;
  }
  return kind === 'app'
    ? `${name} is a filter; a pipeline ends with an application`
    : `${name} is an application; only the last name of a pipeline is one`;
}

/**
 * An error for each section whose prefix is nearly one of paster's: `[sevrer:main]`, `[App:main]`. Sections of other
 * programs, such as `[loggers]` or `[tool:pytest]`, are ignored. Paste ignores both.
 */
export const misspeltSections = oncePerDocument(({ sections }): readonly ConfigError[] =>
  [...sections.values()].flatMap((section) => misspeltSection(section) ?? []),
);

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

/** Only `[DEFAULT]` has defaults, as in Python's configparser: `[default]` is a section that nothing reads. */
export function warnOfDefaultInOtherCase(document: IniDocument, session: LoadSession): void {
  for (const { name, location } of defaultsInOtherCase(document)) {
    session.warn(`[${name}] has no effect: the section with the defaults is [DEFAULT], in capitals`, location);
  }
}

const defaultsInOtherCase = oncePerDocument(({ sections }): readonly IniSection[] =>
  [...sections.values()].filter(({ name }) => name.toUpperCase() === 'DEFAULT'),
);

/** The matching sections of the first document that has any. */
function firstMatching(
  documents: readonly IniDocument[],
  prefixes: readonly (readonly string[])[],
  name: string | undefined,
): IniSection[] {
  for (const document of documents) {
    const found = matching(document, prefixes, name ?? 'main');
    // Departure: Paste documents the bare section for "main" but never looks for it.
    if (found.length === 0 && name === undefined) found.push(...matching(document, prefixes, undefined));
    if (found.length > 0) return found;
  }
  return [];
}

/** The error's location names one file; the message names all files if several were searched. */
function placesLookedIn([first, ...others]: readonly IniDocument[], from: Location | undefined): string {
  if (others.length > 0) return ` in ${[first, ...others].map((each) => each?.file).join(' or ')}`;
  return from ? '' : ' in this file';
}

/** For each list of spellings, the sections with the first spelling that has any. */
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

/** The sections `[prefix:name]`, ignoring white space around the name. Without a name: the bare `[prefix]`. */
function sectionsNamed(document: IniDocument, prefix: string, name: string | undefined): readonly IniSection[] {
  const exact = document.sections.get(name === undefined ? prefix : `${prefix}:${name}`);
  const found = exact && !hasSpace(exact.name) ? [exact] : [];
  if (name === undefined) return exact ? [exact] : [];
  for (const section of spacedSections(document)) {
    const colon = section.name.indexOf(':');
    if (section.name.slice(0, colon) === prefix && pythonStrip(section.name.slice(colon + 1)) === name) {
      found.push(section);
    }
  }
  return found;
}

/** The sections with white space around their name, which is ignored: `[app: main ]`. */
const spacedSections = oncePerDocument(({ sections }): readonly IniSection[] =>
  [...sections.values()].filter(({ name }) => hasSpace(name)),
);

function hasSpace(name: string): boolean {
  const colon = name.indexOf(':');
  return colon !== -1 && (isSpace(name.charCodeAt(colon + 1)) || isSpace(name.charCodeAt(name.length - 1)));
}

/** Looks through a document once, since a large file is full of references and a document does not change. */
function oncePerDocument<T extends object>(find: (document: IniDocument) => T): (document: IniDocument) => T {
  const found = new WeakMap<IniDocument, T>();
  return (document) => {
    const known = found.get(document) ?? find(document);
    found.set(document, known);
    return known;
  };
}
