/** The settings that every `[task:*]` has, which paster itself reads. */
import { Cron } from 'croner';
import { acceptedNames, defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { oneOf, type SettingType, seconds } from '../../config/settings/setting-types.ts';
import { ConfigError, errorMessage } from '../../errors.ts';
import { type FactoryContext, placeOfKey, sectionPlace, sectionPrefix, settingsOf } from '../context.ts';
import { validateWith } from '../validate.ts';
import { backgroundSettings, refusePreload } from './process-settings.ts';

export const schedule: SettingType<string> = {
  allowed:
    'five fields (minute, hour, day of the month, month, day of the week), six with seconds in front, or @yearly (@annually), @monthly, @weekly, @daily (@midnight), @hourly',
  parse(value) {
    const fields = value.trim().split(/\s+/);
    const pattern = fields.join(' ');
    const isName = pattern.startsWith('@');
    // croner accepts a seventh field, the year, which neither crontab nor systemd's timers have.
    if (!isName && fields.length !== 5 && fields.length !== 6) {
      throw new Error(`it has ${fields.length === 1 ? '1 field' : `${fields.length} fields`}`);
    }
    try {
      new Cron(pattern, { paused: true });
    } catch (error) {
      if (isName) throw new Error(`there is no "${pattern}"`);
      throw new Error(errorMessage(error).replace(/^CronPattern: (?:Syntax error, )?/, ''));
    }
    return pattern;
  },
};

const timezone: SettingType<string> = {
  allowed: 'the name of a time zone, such as Europe/Berlin or UTC',
  parse(value) {
    try {
      return new Intl.DateTimeFormat('en', { timeZone: value.trim() }).resolvedOptions().timeZone;
    } catch {
      throw new Error(`there is no time zone "${value.trim()}"`);
    }
  },
};

const { environment, env_file, preload, cwd, user, group, graceful_timeout } = backgroundSettings.declarations;

export const taskSettings = defineSettings({
  schedule: { type: schedule, required: true, help: 'When it runs, as in a crontab.', example: '0 3 * * *' },
  timezone: {
    type: timezone,
    help: 'The time zone of the schedule. Default: that of the machine.',
    example: 'Europe/Berlin',
  },
  jitter: {
    type: seconds,
    default: 0,
    help: 'Each run starts up to this many seconds later, at random: so that many machines do not begin at once.',
  },
  overlap: {
    type: oneOf('skip', 'queue', 'kill'),
    default: 'skip',
    help: 'What happens if a run is due while one is in progress. skip: it does not take place. queue: it waits. kill: the older one is stopped first.',
  },
  missed: {
    type: oneOf('skip', 'once'),
    default: 'skip',
    help: 'What happens with runs that were due while the machine was suspended. skip: nothing. once: one run takes place for all of them.',
  },
  timeout: {
    type: seconds,
    default: 0,
    help: 'A run that takes more seconds is stopped; 0: no limit.',
    example: '600',
  },
  environment,
  env_file,
  preload,
  cwd,
  user,
  group,
  graceful_timeout,
});

export type TaskSettings = SettingsOf<typeof taskSettings>;

/** The settings that paster reads. */
export async function readTaskSettings(context: FactoryContext): Promise<TaskSettings> {
  const names = acceptedNames(taskSettings.declarations);
  const common = Object.entries(context.localConf).filter(([key]) => names.has(key));
  const settings = (await validateWith(taskSettings, settingsOf(Object.fromEntries(common)), context)) as TaskSettings;
  refusePreload(context);
  if (nextRun(settings, new Date()) === undefined) {
    throw new ConfigError('PASTER_SCHEDULE', `${sectionPrefix(context)}schedule: "${settings.schedule}" is never due`, {
      location: placeOfKey(context, 'schedule') ?? sectionPlace(context),
    });
  }
  return settings;
}

/** Why a text is not a schedule; undefined if it is one. */
export function scheduleProblem(pattern: string): string | undefined {
  try {
    const next = nextRun({ schedule: schedule.parse(pattern), timezone: undefined }, new Date());
    return next === undefined ? 'it is never due' : undefined;
  } catch (error) {
    return errorMessage(error);
  }
}

/** When it is due next after a time. */
export function nextRun(
  { schedule: pattern, timezone: zone }: Pick<TaskSettings, 'schedule' | 'timezone'>,
  after: Date,
): Date | undefined {
  return (
    new Cron(pattern, { paused: true, ...(zone === undefined ? {} : { timezone: zone }) }).nextRun(after) ?? undefined
  );
}
