/** `npm:paster#cgi` (`egg:Paste#cgi`) and `npm:paster#cgi_bin`: the applications of an INI file, and their settings. */
import { delimiter } from 'node:path';
import { asLines } from '../../config/settings/convert.ts';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { bool, int, path, pathList, type SettingType, seconds, text } from '../../config/settings/setting-types.ts';
import { existingDirectory } from '../../files/existing-path.ts';
import { partLogger } from '../../log.ts';
import type { App, Settings } from '../../protocol/types.ts';
import { CGI_DEFAULTS, type CgiOptions, cgi, cgiBin } from './cgi.ts';

/** `NAME=value`, one a line. */
const variableLines: SettingType<Readonly<Record<string, string>>> = {
  allowed: 'lines of the form NAME=value',
  parse(value) {
    const found: Record<string, string> = {};
    for (const line of asLines(value)) {
      const [, name, text] = /^([A-Za-z_]\w*)\s*=\s*(.*)$/.exec(line) ?? [];
      if (name === undefined || text === undefined) throw new Error(`"${line}" is not of the form NAME=value`);
      found[name] = text;
    }
    return found;
  },
};

/** Not resolved against the INI file: the script is searched for in the directories of `path`. */
const scriptName: SettingType<string> = {
  allowed: 'the path of a script, absolute or below one of the directories of path',
  parse: (value) => path.parse(value),
};

const common = {
  include_os_environ: {
    type: bool,
    default: true,
    help: 'Give scripts the variables of the server’s own environment too.',
  },
  environment: {
    type: variableLines,
    default: {},
    help: 'Variables for the scripts, one per line; they override all others.',
    example: 'GIT_PROJECT_ROOT=/srv/git',
  },
  document_root: {
    type: path,
    help: 'The directory below which PATH_TRANSLATED locates PATH_INFO. Without it, there is no PATH_TRANSLATED.',
  },
  timeout: {
    type: seconds,
    default: CGI_DEFAULTS.timeout,
    help: 'Seconds that a script may neither read nor write, and that a client may take to send a body (plus a second for each 500 bytes); 0: for ever.',
  },
  max_processes: {
    type: int({ min: 1, max: 10_000 }),
    default: CGI_DEFAULTS.maxProcesses,
    help: 'Scripts that run at once in each server process; the response to a request beyond that is 503.',
  },
} as const;

const cgiSettings = defineSettings(
  {
    script: {
      type: scriptName,
      required: true,
      help: 'The script, absolute or below one of the directories of path; a query may follow after a question mark.',
    },
    path: {
      type: pathList,
      help: 'Directories to look for the script in; without it, that of the INI file, then $PATH.',
    },
    query_string: { type: text, help: 'A query that the script always gets, after the request’s own.' },
    ...common,
  },
  { meaning: 'a CGI script' },
);

const cgiBinSettings = defineSettings(
  {
    directory: {
      type: path,
      required: true,
      help: 'The directory with the scripts.',
      example: '%(here)s/../cgi-bin',
    },
    ...common,
  },
  { meaning: 'the CGI scripts of a directory' },
);

/** Makes the application of an `[app:*]` section. */
export function makeCgi(globalConf: Settings, settings: SettingsOf<typeof cgiSettings>): App {
  const here = globalConf['here'] ?? '';
  const { path: directories = [here, ...(process.env['PATH'] ?? '').split(delimiter)] } = settings;
  return cgi({
    ...cgiOptions(settings),
    script: settings.script,
    path: directories,
    queryString: settings.query_string,
  });
}
makeCgi.settings = cgiSettings;
makeCgi.check = makeCgi;

/** Makes the application of an `[app:*]` section. */
export function makeCgiBin(_globalConf: Settings, settings: SettingsOf<typeof cgiBinSettings>): App {
  return cgiBin({ ...cgiOptions(settings), directory: existingDirectory('directory', settings.directory) });
}
makeCgiBin.settings = cgiBinSettings;
makeCgiBin.check = makeCgiBin;

type CommonSettings = Pick<SettingsOf<typeof cgiSettings>, keyof typeof common>;

function cgiOptions(settings: CommonSettings): CgiOptions {
  const { document_root: documentRoot } = settings;
  return {
    environment: settings.environment,
    includeOsEnviron: settings.include_os_environ,
    documentRoot: documentRoot === undefined ? undefined : existingDirectory('document_root', documentRoot),
    timeout: settings.timeout,
    maxProcesses: settings.max_processes,
    log: partLogger,
  };
}
