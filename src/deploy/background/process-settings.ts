/** The settings that every `[process:*]` has, which paster itself reads. What it runs declares its own settings. */
import { existsSync } from 'node:fs';
import { variables } from '../../config/env-file.ts';
import { acceptedNames, defineSettings, type SettingsOf, type SettingsSchema } from '../../config/settings/setting.ts';
import { bool, int, path, pathList, patternList, seconds, text } from '../../config/settings/setting-types.ts';
import { ConfigError, locate } from '../../errors.ts';
import { findUser, groupId } from '../../files/passwd.ts';
import { type FactoryContext, placeOfKey, sectionPlace, sectionPrefix, settingsOf } from '../context.ts';
import { declaredSchema, schemaOf } from '../schema.ts';
import { processSettings as serverSettings } from '../server/server-settings.ts';
import { validateSettings, validateWith } from '../validate.ts';

const instances = int({ min: 1, max: 256 });

export const backgroundSettings = defineSettings({
  instances: {
    type: { ...instances, allowed: `${instances.allowed}; processes do not follow the load` },
    default: 1,
    help: 'How many processes run it.',
    example: '2',
  },
  exclusive: {
    type: bool,
    default: false,
    help: 'Never run two at a time: at a reload, the old process ends before the new one starts. Otherwise the new one starts first.',
  },
  environment: {
    type: variables,
    help: 'Environment variables of the process, one per line. They override those of [DEFAULT], of env_file, and those that paster was started with.',
    example: 'QUEUE=mail',
  },
  env_file: {
    type: pathList,
    help: 'Files of environment variables; the last one wins.',
    example: '%(here)s/.env',
  },
  preload: {
    type: serverSettings.declarations.preload.type,
    help: 'Modules that the process imports before all other code, as in the section of the server. Not for a command.',
    example: '@opentelemetry/auto-instrumentations-node/register',
  },
  cwd: {
    type: path,
    help: 'Working directory of the process. Default: that of paster.',
    example: '%(here)s/..',
  },
  user: {
    type: text,
    help: 'The user that the process becomes, with all groups of that user, before its code is loaded. Only root can change the user. Default: that of serve --user.',
    example: 'mailer',
  },
  group: { type: text, help: 'The group that it becomes.', example: 'mail' },
  max_memory: {
    type: int({ min: 1, max: 1_048_576 }),
    help: 'A process that holds more resident memory (MiB), with its children, is replaced.',
  },
  start_timeout: {
    type: seconds,
    default: 60,
    help: 'How many seconds the process may take to start; 0: no limit.',
  },
  graceful_timeout: {
    type: seconds,
    default: 30,
    help: 'How many seconds the process may take to end when it is stopped. Then it is killed.',
  },
  reload_files: {
    type: patternList,
    help: 'Globs and directories of further files that serve --reload watches for this process, relative to the INI file.',
    example: '%(here)s/*.yaml',
  },
  reload_ignore: {
    type: serverSettings.declarations.reload_ignore.type,
    default: serverSettings.declarations.reload_ignore.default,
    help: 'Files and directories whose changes cause no reload, as in a section of a server.',
  },
});

export type BackgroundSettings = SettingsOf<typeof backgroundSettings>;

/** The settings that paster reads. The rest of the section is not validated here: it belongs to the code that the process runs. */
export async function readBackgroundSettings(context: FactoryContext): Promise<BackgroundSettings> {
  const names = acceptedNames(backgroundSettings.declarations);
  const common = Object.entries(context.localConf).filter(([key]) => names.has(key));
  const settings = (await validateWith(
    backgroundSettings,
    settingsOf(Object.fromEntries(common)),
    context,
  )) as BackgroundSettings;
  refusePreload(context);
  if (settings.exclusive && settings.instances > 1) {
    throw new ConfigError(
      'PASTER_EXCLUSIVE',
      `${sectionPrefix(context)}exclusive and instances = ${settings.instances} are mutually exclusive`,
      {
        location: placeOfKey(context, 'instances') ?? sectionPlace(context),
        hint: 'exclusive means one process at a time',
      },
    );
  }
  return settings;
}

/**
 * Checks that this machine has the directory, the user and the group of a section.
 * @throws ConfigError at the setting's line
 */
export function checkMachine(
  { cwd, user, group }: Pick<BackgroundSettings, 'cwd' | 'user' | 'group'>,
  context: FactoryContext,
): void {
  const place = (key: string) => placeOfKey(context, key) ?? sectionPlace(context);
  if (cwd !== undefined && !existsSync(cwd)) {
    throw new ConfigError('PASTER_PROCESS_CWD', `${sectionPrefix(context)}cwd: there is no directory ${cwd}`, {
      location: place('cwd'),
    });
  }
  for (const [key, find] of [
    ['user', () => user === undefined || findUser(user)],
    ['group', () => group === undefined || groupId(group)],
  ] as const) {
    try {
      find();
    } catch (error) {
      throw locate(error, place(key), context.sections[0]?.name);
    }
  }
}

/** A command is a process of its own, which imports nothing of Node. @throws ConfigError */
export function refusePreload(context: FactoryContext): void {
  const { command, preload } = context.localConf;
  if (command === undefined || preload === undefined) return;
  throw new ConfigError('PASTER_PRELOAD', `${sectionPrefix(context)}preload and command are mutually exclusive`, {
    location: placeOfKey(context, 'preload') ?? sectionPlace(context),
    hint: 'for a command that runs Node, write environment = NODE_OPTIONS=--import=MODULE',
  });
}

/**
 * The settings to call a factory with. A factory with a schema gets what the schema declares, another one gets the whole section.
 * @param common the settings that paster reads
 * @throws ConfigError, or ErrorList for several errors
 */
export async function factorySettings(
  made: unknown,
  context: FactoryContext,
  { declarations }: SettingsSchema,
): Promise<unknown> {
  const schema = schemaOf(made);
  if (!schema) return settingsOf(context.localConf);
  const declared = declaredSchema(made);
  if (declared) {
    // Together, so that a mistyped name is compared with all names.
    return validateWith(defineSettings({ ...declarations, ...declared.declarations }), context.localConf, context);
  }
  const names = acceptedNames(declarations);
  const rest = Object.entries(context.localConf).filter(([key]) => !names.has(key));
  return validateSettings(made, { ...context, localConf: settingsOf(Object.fromEntries(rest)) });
}
