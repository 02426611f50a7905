/** Reads one section: globals, `set`, `get` and local keys, separated as Paste Deploy's ConfigLoader does. */
import type { IniEntry, IniSection } from '../../config/ini/ini.ts';
import { didYouMean } from '../../config/nearest.ts';
import { pythonStrip } from '../../config/whitespace.ts';
import { ConfigError } from '../../errors.ts';
import type { Settings } from '../../protocol/types.ts';
import { type FactoryContext, settingsOf, type Trail } from '../context.ts';
import { isBackground, kindOfSection } from '../part-kinds.ts';
import type { LoadSession } from '../session.ts';
import type { SectionScope } from './section-scope.ts';

/** A section after applying [DEFAULT], `set` and `get`. */
export interface SectionConfig {
  readonly section: IniSection;
  readonly prefix: string;
  readonly globalConf: Settings;
  /** The globals that this section sets with `set`. */
  readonly additions: Settings;
  readonly localConf: Settings;
  readonly origins: ReadonlyMap<string, IniEntry>;
  readonly trail: Trail;
}

/**
 * @param outer The globals of the referring section or of the caller.
 * @param trail The sections being resolved, this one last.
 */
export function readSection(
  scope: SectionScope,
  session: LoadSession,
  section: IniSection,
  outer: Settings | undefined,
  trail: Trail,
): SectionConfig {
  const defaults = scope.defaults();
  const globalConf = settingsOf(defaults, outer);
  const additions = settingsOf();
  const localConf = settingsOf();
  const origins = new Map<string, IniEntry>();
  const kind = kindOfSection(section.name);
  // Paste drops a key that is also a global. That applies to the kinds of sections that Paste has. In the others, an argument of
  // the command line only defines a variable.
  const isKept = (key: string): boolean =>
    kind !== undefined &&
    isBackground(kind) &&
    key in session.callerGlobals &&
    section.entries.has(key) &&
    !scope.document.defaults.entries.has(key);
  const gets: { name: string; from: string; entry: IniEntry | undefined }[] = [];
  for (const key of scope.names(section)) {
    const entry = scope.entry(section, key);
    if (key.startsWith('set ')) {
      const name = pythonStrip(key.slice(4));
      globalConf[name] = scope.get(section, key);
      additions[name] = globalConf[name];
    } else if (key.startsWith('get ')) {
      gets.push({ name: pythonStrip(key.slice(4)), from: scope.get(section, key), entry });
    } else if (key in defaults && !isKept(key)) {
      const own = section.entries.get(key);
      if (own) warnDropped(session, section, own);
    } else {
      localConf[key] = scope.get(section, key);
      if (entry) origins.set(key, entry);
    }
  }
  for (const { name, from, entry } of gets) {
    const value = globalConf[from];
    if (value === undefined) {
      session.report(
        new ConfigError('PASTER_GET_UNKNOWN', `[${section.name}] get ${name}: there is no global "${from}"`, {
          location: entry?.locate(0) ?? section.location,
          hint: didYouMean(from, Object.keys(globalConf)),
        }),
      );
      continue;
    }
    localConf[name] = value;
    if (entry) origins.set(name, entry);
  }
  const prefix = section.name.split(':', 1)[0] ?? '';
  return { section, prefix, globalConf, additions, localConf, origins, trail };
}

function warnDropped(session: LoadSession, section: IniSection, entry: IniEntry): void {
  session.warn(
    `[${section.name}] ${entry.key} is also a global ([DEFAULT] or the command line), so this line has no effect on ` +
      `the part: write "set ${entry.key} = ..."`,
    entry.location,
  );
}

/** A key of [DEFAULT] and of every section; `serve` itself reads it. */
export const RELOAD_FILES = 'reload_files';

/** Keys of an application's section that paster itself reads: see application-settings.ts. */
export const MOUNT = 'mount';
export const ENVIRONMENT = 'environment';

/** Warns of the keys of a section that uses a finished part (`module:`), except those that paster itself reads. */
export function warnOfKeysWithoutEffect(
  section: string,
  { localConf, origins }: Pick<SectionConfig, 'localConf' | 'origins'>,
  { target }: FactoryContext,
  isRead: (key: string) => boolean,
  session: LoadSession,
): void {
  for (const key of Object.keys(localConf)) {
    const place = origins.get(key)?.location;
    if (!place || isRead(key)) continue;
    session.warn(
      `[${section}] ${key} has no effect: ${target.description} is the application itself, and gets no settings`,
      place,
    );
  }
}

/** Removes a key from a section's local configuration and returns its value. */
export function take(localConf: Settings, key: string): string | undefined {
  const value = localConf[key];
  delete localConf[key];
  return value;
}

/** Removes a required key and returns its value. @throws ConfigError if it is missing. */
export function requireKey({ localConf, section }: SectionConfig, key: string): string {
  const value = take(localConf, key);
  if (value === undefined) {
    throw new ConfigError('PASTER_KEY_MISSING', `[${section.name}] "${key}" is missing`, {
      location: section.location,
      hint: key === 'next' ? 'it names the application that is filtered' : 'it names the filters, then the application',
    });
  }
  return value;
}
