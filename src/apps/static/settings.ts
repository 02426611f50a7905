/** `npm:paster#static`, an application and a filter: the settings of an INI file. */
import { debugFlags } from '../../config/debug.ts';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { bool, int, list, oneOf, path, type SettingType } from '../../config/settings/setting-types.ts';
import { existingDirectory, existingFile } from '../../files/existing-path.ts';
import type { App, Filter, Settings } from '../../protocol/types.ts';
import { type StaticFilesOptions, staticFiles, withStaticFiles } from './static-files.ts';

/** Not the root, since no path would be left for the application. */
const pathBelowRoot: SettingType<string> = {
  allowed: 'the path of a URL, such as /static',
  parse(value) {
    if (!/^\/?[^\s/?#:]+(?:\/[^\s/?#:]+)*\/?$/.test(value)) throw new Error(`"${value}" is not a path below the root`);
    return value;
  },
};

const declarations = {
  document_root: {
    type: path,
    required: true,
    help: 'The directory with the files.',
    example: '%(here)s/../static',
  },
  cache_max_age: {
    type: int({ min: 0, max: 31_536_000 }),
    default: 0,
    help: 'Seconds for which a browser may use a file without asking again. It may do so for a year if the URL has the version of the file.',
  },
  index: {
    type: list,
    default: ['index.html'],
    help: 'Names of the file that is sent for a directory: the first that exists.',
  },
  dotfiles: {
    type: oneOf('ignore', 'deny', 'allow'),
    default: 'ignore',
    help: 'What happens to a path with a name that begins with a dot. ignore: 404. deny: 403. allow: it is served like any other path.',
  },
  robots: { type: path, help: 'The file for /robots.txt; without it, robots.txt in the directory.' },
  favicon: { type: path, help: 'The file for /favicon.ico; without it, favicon.ico in the directory.' },
  precompressed: {
    type: bool,
    default: false,
    help: 'Send file.br or file.gz, if it exists, instead of file to clients that accept it.',
  },
} as const;

export const staticSettings = defineSettings(declarations, { meaning: 'the files of a directory' });

export const staticFilterSettings = defineSettings(
  {
    ...declarations,
    url_prefix: { type: pathBelowRoot, default: '/static', help: 'The path below which the files are served.' },
  },
  { meaning: 'the files of a directory below a prefix, the application everywhere else' },
);

/** Makes the application of an `[app:*]` section. */
export function makeStatic(globalConf: Settings, settings: SettingsOf<typeof staticSettings>): App {
  return staticFiles(staticOptions(globalConf, settings));
}
makeStatic.settings = staticSettings;
makeStatic.check = makeStatic;

/** Makes the filter of a `[filter:*]` section. */
export function makeStaticFilter(globalConf: Settings, settings: SettingsOf<typeof staticFilterSettings>): Filter {
  return withStaticFiles({ ...staticOptions(globalConf, settings), urlPrefix: settings.url_prefix });
}
makeStaticFilter.settings = staticFilterSettings;
makeStaticFilter.check = makeStaticFilter;

function staticOptions(globalConf: Settings, settings: SettingsOf<typeof staticSettings>): StaticFilesOptions {
  const { robots, favicon } = settings;
  return {
    documentRoot: existingDirectory('document_root', settings.document_root),
    cacheMaxAge: settings.cache_max_age,
    index: settings.index,
    dotfiles: settings.dotfiles,
    robots: robots === undefined ? undefined : existingFile('robots', robots),
    favicon: favicon === undefined ? undefined : existingFile('favicon', favicon),
    precompressed: settings.precompressed,
    hashCache: debugFlags(globalConf).staticHashCache,
  };
}
