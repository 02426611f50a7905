/** Tasks in another scheduler than paster: what is different there, and tasks that restart other parts with `paster control`. */
import type { TaskSettings } from '../deploy/background/task-settings.ts';
import { placeOfKey, sectionPrefix } from '../deploy/context.ts';
import { formatLocation } from '../errors.ts';
import type { BackgroundPart, BackgroundParts } from './background.ts';

/** The word may be part of what a shell runs. */
const CONTROL = /\bpaster(?:\.js)?['"]? control\b/;
const RELOAD = /\bcontrol \S+ reload\s*$/;
const RESTART = /\bcontrol \S+ stop (\S+) && .*\bcontrol \S+ start \1['"\s]/;

export type RestartedParts =
  /** Everything in the file is reloaded. */
  | { readonly kind: 'all' }
  | { readonly kind: 'process'; readonly part: BackgroundPart }
  /** `paster control` does something else. */
  | { readonly kind: 'other' };

/**
 * As `create --from` writes it for `cron_restart` of pm2.
 * @returns what a task restarts; undefined for a task that does not call `paster control`
 */
export function restartedBy(
  { context }: BackgroundPart<TaskSettings>,
  { processes }: BackgroundParts,
): RestartedParts | undefined {
  const command = context.localConf['command'] ?? '';
  if (!CONTROL.test(command)) return undefined;
  if (RELOAD.test(command)) return { kind: 'all' };
  const [, name] = RESTART.exec(command) ?? [];
  const part = processes.find((each) => each.name === name);
  return part ? { kind: 'process', part } : { kind: 'other' };
}

/** What another scheduler than paster does in a different way, with the place of the setting. */
export function scheduleNotes(parts: BackgroundParts, scheduler: 'systemd' | 'Kubernetes'): string[] {
  return parts.tasks.flatMap((part) => {
    const { overlap, jitter } = part.settings;
    const note = (setting: string, text: string) => {
      const location = placeOfKey(part.context, setting);
      const place = location === undefined ? '' : `${formatLocation(location)}: `;
      return `${place}${sectionPrefix(part.context)}${setting}: ${text}`;
    };
    const restarted = restartedBy(part, parts);
    if (restarted && scheduler === 'Kubernetes') return [note('command', NO_CONTROL_OF_PODS)];
    return [
      ...(restarted?.kind === 'other' ? [note('command', NO_CONTROL_OF_UNITS)] : []),
      ...(scheduler === 'systemd' && overlap !== 'skip'
        ? [note('overlap', `systemd always skips a run while one is in progress`)]
        : []),
      ...(scheduler === 'Kubernetes' && jitter > 0 ? [note('jitter', 'Kubernetes starts each run on time')] : []),
    ];
  });
}

const NO_CONTROL_OF_UNITS =
  'paster control finds no server, since each part is a unit of its own: write a unit and a timer that run systemctl';
const NO_CONTROL_OF_PODS =
  'paster control does not reach other pods, so there is no CronJob for it: write one that runs "kubectl rollout restart", with a ServiceAccount that may do that';
