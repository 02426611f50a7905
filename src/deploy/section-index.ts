/** Finds sections by prefix and name without going through the file: a large one is full of references. */
import type { IniDocument, IniSection } from '../config/ini.ts';
import { pythonStrip } from '../config/whitespace.ts';

/** Sections by prefix, and below it by name; a bare `[app]` has none. */
type SectionIndex = ReadonlyMap<string, ReadonlyMap<string | undefined, readonly IniSection[]>>;

/** A document does not change, and is opened once for each `config:` URI that names it. */
const indexes = new WeakMap<IniDocument, SectionIndex>();

/** The sections `[prefix:name]`; white space around the name does not count. With no name: the bare `[prefix]`. */
export function sectionsNamed(document: IniDocument, prefix: string, name: string | undefined): readonly IniSection[] {
  let index = indexes.get(document);
  if (!index) {
    index = indexOf(document);
    indexes.set(document, index);
  }
  return index.get(prefix)?.get(name) ?? [];
}

function indexOf(document: IniDocument): SectionIndex {
  const index = new Map<string, Map<string | undefined, IniSection[]>>();
  for (const section of document.sections.values()) {
    const colon = section.name.indexOf(':');
    const prefix = colon === -1 ? section.name : section.name.slice(0, colon);
    const name = colon === -1 ? undefined : pythonStrip(section.name.slice(colon + 1));
    const names: Map<string | undefined, IniSection[]> = index.get(prefix) ?? new Map();
    if (names.size === 0) index.set(prefix, names);
    const namesakes = names.get(name);
    if (namesakes) namesakes.push(section);
    else names.set(name, [section]);
  }
  return index;
}
