/**
 * `npm:paster#profile` (`egg:Paste#profile`): where the processor's time went in a request, as a file for the developer
 * tools of a browser and as a picture. One request at a time; what the process does besides is in it too.
 */
import type { Profiler, Session } from 'node:inspector';
import { debugFlags } from '../../config/debug.ts';
import { fileInDirectory } from '../../config/existing-path.ts';
import {
  bool,
  defineSettings,
  int,
  list,
  type OptionsOf,
  path,
  type SettingsOf,
  withDefaults,
} from '../../config/setting.ts';
import { asError, errorMessage } from '../../errors.ts';
import { pathEnd } from '../../http/mount.ts';
import { printableLine } from '../../printable.ts';
import type { App, Filter, Settings } from '../../protocol/types.ts';
import { writeText } from '../../user-files.ts';
import { toStandardError, type WriteLine } from '../line-output.ts';
import { profilePage } from './picture.ts';

export const profileSettings = defineSettings(
  {
    debug: { type: bool, help: 'Profile at all; without it, as debug in [DEFAULT] says.' },
    log_filename: {
      type: path,
      default: 'profile.cpuprofile',
      help: 'The file of the last profile; the picture is beside it, as .html.',
    },
    limit: {
      type: int({ min: 1, max: 10_000 }),
      default: 40,
      help: 'How many functions are listed below the picture.',
    },
    paths: {
      type: list,
      default: [],
      help: 'The paths whose requests are profiled; without it, all.',
      example: '/slow /report',
    },
  },
  { meaning: 'a CPU profile of a request, as a file and as a picture' },
);

const SUFFIX = '.cpuprofile';
/** Microseconds between two looks at what is running. */
const INTERVAL_US = 100;
/** An answer that never ends is profiled for so long. */
const LONGEST_MS = 60_000;

/** Makes the filter of a `[filter:*]` section. */
export function makeProfile(globalConf: Settings, settings: SettingsOf<typeof profileSettings>): Filter {
  const debug = settings.debug ?? debugFlags(globalConf).debug;
  const { log_filename: file } = settings;
  return profile({ ...settings, debug, log_filename: debug ? fileInDirectory('log_filename', file) : file });
}
makeProfile.settings = profileSettings;
makeProfile.check = makeProfile;

/** There is one profiler in a process. */
let isBusy = false;

/**
 * A filter that profiles requests, one at a time: what comes while one is profiled passes as it is. Each profile takes the
 * place of the one before.
 * @param options the settings of the INI file, typed; `debug` is true unless it is said.
 * @param write takes a line about each profile in place of standard error.
 */
export function profile(options: OptionsOf<typeof profileSettings> = {}, write: WriteLine = toStandardError): Filter {
  const settings = withDefaults(profileSettings, options);
  const { log_filename: file, limit, paths, debug = true } = settings;
  const name = file.endsWith(SUFFIX) ? file.slice(0, -SUFFIX.length) : file;
  if (!debug) return (app) => app;

  async function keep(title: string, found: Profiler.Profile): Promise<void> {
    const page = profilePage(title, found, limit);
    writeText(`${name}${SUFFIX}`, JSON.stringify(found), { truncate: true });
    writeText(`${name}.html`, page, { truncate: true });
    write(printableLine(`profiled ${title}: ${name}${SUFFIX}, ${name}.html`));
  }

  return async (app) => {
    const inspector = await import('node:inspector');
    let latest: { readonly stop: () => void; readonly kept: Promise<void> } | undefined;
    const profiled: App = (req, res) => {
      const path = (req.url ?? '/').slice(0, pathEnd(req.url ?? '/'));
      if (isBusy || (paths.length > 0 && !paths.includes(path))) return app(req, res);
      isBusy = true;
      const title = `${req.method} ${path}`;
      let isKept = (): void => {};
      const kept = new Promise<void>((resolve) => {
        isKept = resolve;
      });
      const stop = startProfile(new inspector.Session(), (error, found) => {
        const keeping = found ? keep(title, found) : Promise.reject(error);
        keeping
          .catch((problem: unknown) => write(printableLine(`no profile of ${title}: ${errorMessage(problem)}`)))
          .finally(() => {
            isBusy = false;
            isKept();
          });
      });
      latest = { stop, kept };
      res.once('close', stop);
      return app(req, res);
    };
    // A CGI program ends with its only answer, and the profile is there only after that.
    profiled.close = () => {
      latest?.stop();
      return latest?.kept;
    };
    return profiled;
  };
}

type Found = (error: Error | undefined, profile?: Profiler.Profile) => void;

/** Starts the profiler; `found` is called once, after the returned function has been, or after a minute. */
function startProfile(session: Session, found: Found): () => void {
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    if (timer === undefined) return;
    clearTimeout(timer);
    timer = undefined;
    session.post('Profiler.stop', (error, result) => {
      session.disconnect();
      found(error ?? undefined, result?.profile);
    });
  };
  try {
    session.connect();
    session.post('Profiler.enable');
    session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US });
    session.post('Profiler.start');
    timer = setTimeout(stop, LONGEST_MS).unref();
  } catch (error) {
    found(asError(error));
  }
  return stop;
}
