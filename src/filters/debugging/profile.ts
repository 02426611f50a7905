/**
 * `npm:paster#profile` (`egg:Paste#profile`): writes a CPU profile of a request, as a file for a browser's developer tools
 * and as a page. It profiles one request at a time; whatever else the process does meanwhile is in the profile too.
 */
import type { Profiler, Session } from 'node:inspector';
import { debugFlags } from '../../config/debug.ts';
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { bool, int, list, path } from '../../config/settings/setting-types.ts';
import { asError, errorMessage } from '../../errors.ts';
import { fileInDirectory } from '../../files/existing-path.ts';
import { writeText } from '../../files/user-files.ts';
import { pathEnd } from '../../http/url-path.ts';
import { printableLine } from '../../printable.ts';
import type { App, Filter, Settings } from '../../protocol/types.ts';
import { toStandardError, type WriteLine } from '../logging/line-output.ts';
import { profilePage } from './profile-page.ts';

export const profileSettings = defineSettings(
  {
    debug: { type: bool, help: 'Whether requests are profiled. Without it, as debug in [DEFAULT] says.' },
    log_filename: {
      type: path,
      default: 'profile.cpuprofile',
      help: 'The file of the last profile; the page with the flame graph is next to it, as .html.',
    },
    limit: {
      type: int({ min: 1, max: 10_000 }),
      default: 40,
      help: 'How many functions are listed below the flame graph.',
    },
    paths: {
      type: list,
      default: [],
      help: 'The paths whose requests are profiled; without it, all paths.',
      example: '/slow /report',
    },
  },
  { meaning: 'a CPU profile of a request, as a file and as a flame graph' },
);

const SUFFIX = '.cpuprofile';
/** Microseconds between two samples. */
const INTERVAL_US = 100;
/** Ends the profile of a response that does not end. */
const MAX_PROFILE_MS = 60_000;

/** Makes the filter of a `[filter:*]` section. */
export function makeProfile(globalConf: Settings, settings: SettingsOf<typeof profileSettings>): Filter {
  const debug = settings.debug ?? debugFlags(globalConf).debug;
  const { log_filename: file } = settings;
  return profile({ ...settings, debug, log_filename: debug ? fileInDirectory('log_filename', file) : file });
}
makeProfile.settings = profileSettings;
makeProfile.check = makeProfile;

/** A process has only one profiler. */
let isBusy = false;

/**
 * A filter that profiles requests, one at a time; requests during a profile pass unchanged. Each profile replaces the
 * previous one.
 * @param options the settings of the INI file, typed; `debug` is true by default.
 * @param write gets a line about each profile. Default: standard error.
 */
export function profile(options: OptionsOf<typeof profileSettings> = {}, write: WriteLine = toStandardError): Filter {
  const settings = withDefaults(profileSettings, options);
  const { log_filename: file, limit, paths, debug = true } = settings;
  const name = file.endsWith(SUFFIX) ? file.slice(0, -SUFFIX.length) : file;
  if (!debug) return (app) => app;

  async function save(title: string, cpuProfile: Profiler.Profile): Promise<void> {
    const page = profilePage(title, cpuProfile, limit, `${name}${SUFFIX}`);
    writeText(`${name}${SUFFIX}`, JSON.stringify(cpuProfile), { truncate: true });
    writeText(`${name}.html`, page, { truncate: true });
    write(printableLine(`profiled ${title}: ${name}${SUFFIX}, ${name}.html`));
  }

  return async (app) => {
    const inspector = await import('node:inspector');
    let latest: { readonly stop: () => void; readonly saved: Promise<void> } | undefined;
    const profiled: App = (req, res) => {
      const path = (req.url ?? '/').slice(0, pathEnd(req.url ?? '/'));
      if (isBusy || (paths.length > 0 && !paths.includes(path))) return app(req, res);
      isBusy = true;
      const title = `${req.method} ${path}`;
      let finishSave = (): void => {};
      const saved = new Promise<void>((resolve) => {
        finishSave = resolve;
      });
      const stop = startProfile(new inspector.Session(), (error, cpuProfile) => {
        const saving = cpuProfile ? save(title, cpuProfile) : Promise.reject(error);
        saving
          .catch((problem: unknown) => write(printableLine(`no profile of ${title}: ${errorMessage(problem)}`)))
          .finally(() => {
            isBusy = false;
            finishSave();
          });
      });
      latest = { stop, saved };
      res.once('close', stop);
      return app(req, res);
    };
    // A CGI process ends after its only response, and the profile is written only then.
    profiled.close = () => {
      latest?.stop();
      return latest?.saved;
    };
    return profiled;
  };
}

type ProfileCallback = (error: Error | undefined, profile?: Profiler.Profile) => void;

/** Starts the profiler, and calls `callback` once it has stopped: by the returned function, or after a minute. */
function startProfile(session: Session, callback: ProfileCallback): () => void {
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    if (timer === undefined) return;
    clearTimeout(timer);
    timer = undefined;
    session.post('Profiler.stop', (error, result) => {
      session.disconnect();
      callback(error ?? undefined, result?.profile);
    });
  };
  try {
    session.connect();
    session.post('Profiler.enable');
    session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US });
    session.post('Profiler.start');
    timer = setTimeout(stop, MAX_PROFILE_MS).unref();
  } catch (error) {
    callback(asError(error));
  }
  return stop;
}
