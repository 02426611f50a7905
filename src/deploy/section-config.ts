/** What one section says: globals, `set`, `get` and local keys, parted as Paste Deploy's ConfigLoader parts them. */
import type { IniEntry, IniSection } from '../config/ini.ts';
import { nearest } from '../config/nearest.ts';
import { pythonStrip } from '../config/whitespace.ts';
import { ConfigError } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';
import { type FactoryContext, settingsOf, type Trail } from './context.ts';
import type { SectionScope } from './section-scope.ts';
import type { LoadSession } from './session.ts';

/** What a section says once [DEFAULT], `set` and `get` are worked out. */
export interface SectionConfig {
  readonly section: IniSection;
  readonly prefix: string;
  readonly globalConf: Settings;
  /** What `set` added to globalConf here. */
  readonly additions: Settings;
  readonly localConf: Settings;
  readonly origins: Map<string, IniEntry>;
  readonly trail: Trail;
}

/**
 * Works a section out.
 * @param outer The globals that whoever refers to it hands in.
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
  const gets: { name: string; from: string; entry: IniEntry | undefined }[] = [];
  for (const key of scope.names(section)) {
    const entry = scope.entry(section, key);
    if (key.startsWith('set ')) {
      const name = pythonStrip(key.slice(4));
      globalConf[name] = scope.get(section, key);
      additions[name] = globalConf[name];
    } else if (key.startsWith('get ')) {
      gets.push({ name: pythonStrip(key.slice(4)), from: scope.get(section, key), entry });
    } else if (key in defaults) {
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
      session.mistake(
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

/** The one key that `serve` itself reads, of whatever it serves. */
export const RELOAD_FILES = 'reload_files';

/** The warning about a key of a section that uses a ready part (`module:`). */
export function withoutEffect(section: string, key: string, { target }: FactoryContext): string {
  return `[${section}] ${key} has no effect: ${target.description} is ready made, nothing is called with settings`;
}

/** Takes a key out of a section's local configuration. */
export function take(localConf: Settings, key: string): string | undefined {
  const value = localConf[key];
  delete localConf[key];
  return value;
}

/** Takes a key that has to be there. @throws ConfigError */
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

function didYouMean(name: string, candidates: readonly string[]): string {
  const meant = nearest(name, candidates);
  return meant === undefined ? `there are: ${candidates.join(', ')}` : `did you mean "${meant}"?`;
}
