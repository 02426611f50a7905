/**
 * `paster exe`: runs an INI file as a program. Its first line is `#!/usr/bin/env -S paster exe`, and its section [exe] names
 * the command and its options, as in PasteScript.
 */

import { type IniDocument, readIni } from '../config/ini/ini.ts';
import { didYouMean, nearest } from '../config/nearest.ts';
import { asBool, asList } from '../config/settings/convert.ts';
import { settingsOf } from '../deploy/context.ts';
import { type ViewedEntry, viewDocument } from '../deploy/inspect/document-view.ts';
import { ConfigError, type Location, locate } from '../errors.ts';
import { isCgi, optionHint } from '../process/program/command-line.ts';
import { DOTENV, iniPath, readEnvFiles } from './command-line/arguments.ts';
import { type Command, type CommandOption, type Commands, optionNames } from './command-line/command.ts';

/** @param commands the commands that [exe] can name */
export const exeCommand = (commands: Commands): Command => ({
  name: 'exe',
  summary: 'run an INI file as its section [exe] says',
  args: [
    ['<config>', 'an INI file that begins with #!/usr/bin/env -S paster exe'],
    ['[args...]', 'further arguments and options of its command'],
  ],
  options: [DOTENV],
  passesOptions: true,
  examples: [
    ['./etc/config.ini', 'the command in [exe], or without it paster serve etc/config.ini'],
    ['./etc/config.ini --reload', 'the same with one more option'],
    ['./etc/config.ini stop', 'with [exe] pid_file = ...: the server in the background'],
  ],
  run: (args, options) => exe(args, readEnvFiles(options), commands),
});

/** The keys of [exe] besides the options of its command. PasteScript's `plugin` and `require` name Python eggs. */
const OWN_KEYS = ['command', 'add', 'plugin', 'require'];

async function exe(
  [argument = '', ...args]: readonly string[],
  envFiles: readonly string[],
  commands: Commands,
): Promise<readonly string[]> {
  const file = iniPath(argument);
  const document = await readIni(file);
  const entries = await exeEntries(document);
  const name = commandName(entries.get('command'), document, commands);
  const command = await commands.get(name)?.load();
  const options: string[] = [];
  for (const [key, entry] of entries) {
    if (!OWN_KEYS.includes(key)) options.push(...optionOf(key, entry, command?.options ?? [], name));
  }
  // The command gets them too, since it may have to read them again.
  const hasEnvFile = command?.options.includes(DOTENV) ?? false;
  if (hasEnvFile) options.unshift(...envFiles.map((each) => `--dotenv=${each}`));
  if (isCgi() && name === 'serve' && !entries.has('server')) options.push('--server', 'cgi');
  // A web server passes a query without "=" as arguments (RFC 3875, 4.4): they come from the client, not from the operator.
  const further = isCgi() ? [] : args;
  return [name, file, ...asList(entries.get('add')?.value ?? ''), ...options, ...further];
}

async function exeEntries(document: IniDocument): Promise<Map<string, ViewedEntry>> {
  if (!document.sections.has('exe')) return new Map();
  const { sections, errors } = viewDocument(document, settingsOf(), false);
  const [error] = errors.filter(({ section }) => section === 'exe');
  if (error) throw error.error;
  const entries = sections.find(({ name }) => name === 'exe')?.entries ?? [];
  return new Map(
    entries.filter(({ inherited, location }) => !inherited && location).map((entry) => [entry.key, entry]),
  );
}

function commandName(entry: ViewedEntry | undefined, document: IniDocument, commands: Commands): string {
  const name = entry?.value.trim() ?? 'serve';
  if (commands.has(name) && name !== 'exe') return name;
  const names = [...commands.keys()].filter((each) => each !== 'exe');
  throw exeError(
    entry?.location ?? document.sections.get('exe')?.location,
    `there is no command "${name}" to execute`,
    didYouMean(name, names),
  );
}

/** `pid_file = x` becomes `--pid-file=x`; a flag is set if its value is true. */
function optionOf(key: string, entry: ViewedEntry, options: readonly CommandOption[], command: string): string[] {
  const name = key.replaceAll('_', '-');
  const option = options.find(({ flags }) => optionNames(flags).long === name);
  if (option === undefined) {
    const names = [...options.map(({ flags }) => optionNames(flags).long), ...OWN_KEYS];
    const closest = nearest(name, names)?.replaceAll('-', '_');
    const hint = closest === undefined ? `there are: ${names.join(', ')}` : `did you mean "${closest}"?`;
    throw exeError(entry.location, `${command} has no option "${key}"`, optionHint(name) ?? hint);
  }
  const { value: takes } = optionNames(option.flags);
  if (takes === 'required') {
    const values = option.repeatable ? entry.value.split('\n').filter((row) => row.trim() !== '') : [entry.value];
    return values.map((value) => `--${name}=${value.trim()}`);
  }
  // A flag, or an option with an optional value.
  if (takes === 'optional' && !isBool(entry)) return [`--${name}=${entry.value.trim()}`];
  return isTrue(key, entry) ? [`--${name}`] : [];
}

function isBool({ value }: ViewedEntry): boolean {
  try {
    asBool(value);
    return true;
  } catch {
    return false;
  }
}

function isTrue(key: string, { value, location }: ViewedEntry): boolean {
  try {
    return asBool(value);
  } catch {
    throw exeError(location, `${key}: "${value}" is neither true nor false`, undefined);
  }
}

function exeError(location: Location | undefined, message: string, hint: string | undefined): ConfigError {
  const error = new ConfigError('PASTER_EXE', message, { location, hint });
  locate(error, location, 'exe');
  return error;
}
