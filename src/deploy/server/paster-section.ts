/** The section `[paster]`: what `paster serve` does with an INI file. */
import { didYouMean } from '../../config/nearest.ts';
import { defineSettings } from '../../config/settings/setting.ts';
import { list, type SettingType } from '../../config/settings/setting-types.ts';
import { ConfigError } from '../../errors.ts';
import { findSection } from '../sections/find-section.ts';
import { SectionScope } from '../sections/section-scope.ts';
import type { LoadSession } from '../session.ts';

const SECTION = 'paster';

const names: SettingType<readonly string[]> = {
  ...list,
  allowed: 'names separated by commas, spaces or line ends',
  parse: (value) => list.parse(value.replaceAll(',', ' ')),
};

export const pasterSettings = defineSettings({
  serve: {
    type: names,
    default: [],
    help: 'The names of the servers that serve starts, all of them with the same workers. The first section has the settings of the processes. serve --server-name overrides it. Left out: main.',
    example: 'web, live',
  },
});

/**
 * The names in `serve`; none if the file does not set it.
 * @throws ConfigError for a name that has no section, or another error in `[paster]`; with the session of `check` it is reported
 */
export async function servedNames(file: string, session: LoadSession): Promise<readonly string[]> {
  const document = await session.read(file);
  const section = document.sections.get(SECTION);
  if (!section) return [];
  for (const { key, location } of section.entries.values()) {
    if (key in pasterSettings.declarations) continue;
    session.report(
      new ConfigError('PASTER_SETTING', `[${SECTION}] unknown setting "${key}"`, {
        location,
        hint: didYouMean(key, Object.keys(pasterSettings.declarations)),
      }),
    );
  }
  const entry = section.entries.get('serve');
  if (!entry) return [];
  const scope = new SectionScope(document, session.callerGlobals, undefined, (error, each) =>
    session.report(error, each),
  );
  const value = scope.written(section, entry);
  const words = [...entry.value.matchAll(/[^\s,]+/g)];
  const found: string[] = [];
  for (const name of pasterSettings.declarations.serve.type.parse(value)) {
    const place = entry.locate(words.find(([word]) => word === name)?.index ?? 0);
    try {
      if (found.includes(name)) {
        throw new ConfigError('PASTER_SERVERS', `[${SECTION}] serve: it names ${name} twice`, { location: place });
      }
      findSection([document], 'server', name, place);
      found.push(name);
    } catch (error) {
      session.report(error);
    }
  }
  if (found.length === 0 && value.trim() === '') {
    session.report(
      new ConfigError('PASTER_SERVERS', `[${SECTION}] serve: it names no server`, {
        location: entry.location,
        hint: `allowed: ${names.allowed}`,
      }),
    );
  }
  return found;
}
