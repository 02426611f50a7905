/** Finds sections by prefix and name without going through the file: a large one is full of references. */
import type { IniDocument, IniSection } from '../config/ini.ts';
import { isSpace, pythonStrip } from '../config/whitespace.ts';

/**
 * The sections with white space around their name, which does not count: `[app: main ]`. Rare, but each has to be
 * known. A document does not change, and is opened once for each `config:` URI that names it.
 */
const spaced = new WeakMap<IniDocument, readonly IniSection[]>();

/** The sections `[prefix:name]`; white space around the name does not count. With no name: the bare `[prefix]`. */
export function sectionsNamed(document: IniDocument, prefix: string, name: string | undefined): readonly IniSection[] {
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

function spacedSections(document: IniDocument): readonly IniSection[] {
  let sections = spaced.get(document);
  if (!sections) {
    sections = [...document.sections.values()].filter((section) => hasSpace(section.name));
    spaced.set(document, sections);
  }
  return sections;
}

function hasSpace(name: string): boolean {
  const colon = name.indexOf(':');
  return colon !== -1 && (isSpace(name.charCodeAt(colon + 1)) || isSpace(name.charCodeAt(name.length - 1)));
}
