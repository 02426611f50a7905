/** `paster setup-app`: runs an application's hook that creates what it needs before its first start (tables, directories). */
import { dirname } from 'node:path';
import { loadTarget, runPartCode } from '../../deploy/compose.ts';
import { type Context, type FactoryContext, isComposite } from '../../deploy/context.ts';
import { innerContexts } from '../../deploy/inspect/outline.ts';
import { type AppConfig, loadContext } from '../../deploy/load.ts';
import { importModule } from '../../deploy/modules/import-module.ts';
import { moduleTarget } from '../../deploy/modules/module-target.ts';
import { enclosingPackage } from '../../deploy/modules/packages.ts';
import { LoadSession } from '../../deploy/session.ts';
import { ConfigError, EXIT_OK } from '../../errors.ts';
import { programLogger } from '../../log.ts';
import { printable } from '../../printable.ts';
import type { Settings } from '../../protocol/types.ts';
import { setUpLogging } from '../../serve/logging.ts';
import { DOTENV, iniFileOf, parseAssignments, readEnvFiles, specUri } from '../command-line/arguments.ts';
import { type Command, type Console, textOption } from '../command-line/command.ts';
import { setUpEnvironment } from './unserved-application.ts';

export const setupAppCommand: Command = {
  name: 'setup-app',
  summary: 'call the setup_app hook of an application before its first start',
  args: [
    ['<config>', 'an INI file, or FILE#SECTION'],
    ['[name=value...]', 'a global value; the hooks get it as vars too'],
  ],
  options: [{ flags: '-n, --name <name>', help: 'the application section (default: main)' }, DOTENV],
  examples: [
    ['paster setup-app etc/config.ini', 'all applications in the main section'],
    ['paster setup-app etc/config.ini#shop admin=me@example.com', 'one of them, with a variable for its hook'],
  ],
  run: setupApp,
};

async function setupApp(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const [spec = '', ...assignments] = args;
  readEnvFiles(options);
  await setUp(spec, textOption(options, 'name'), parseAssignments(assignments), console);
  return EXIT_OK;
}

/** Runs the hooks of all applications of a configuration in turn. */
export async function setUp(spec: string, name: string | undefined, vars: Settings, console: Console): Promise<void> {
  const session = new LoadSession(vars);
  const file = iniFileOf(spec);
  await setUpEnvironment({ file, appName: name }, session);
  const context = await loadContext('app', specUri(spec), { globalConf: vars, name }, session);
  session.logWarnings(programLogger('warn', console.err));
  // The hooks log as the INI file configures it. A running server may write to the same log files.
  await setUpLogging({ file, globalConf: vars }, session, { user: undefined, group: undefined }, false);
  const command: SetupCommand = { name: 'setup-app', say: (message) => console.out(printable(message)) };
  for (const app of await applicationsOf(context)) {
    const title = printable(app.sections[0] ? `[${app.sections[0].name}]` : app.target.description);
    const hook = await setupHook(app);
    if (hook === undefined) {
      if (!isComposite(app)) console.out(`${title}: nothing to set up`);
      continue;
    }
    const { globalConf, localConf } = app;
    await runPartCode(app, () => hook(command, { globalConf, localConf }, vars));
    console.out(`${title}: set up`);
  }
}

// --- the hooks of an application, as PasteScript finds them --------------------------------------------------------

/** The first argument of a hook, through which it can print what it does. */
interface SetupCommand {
  readonly name: 'setup-app';
  /** Prints a line for the user. */
  say(message: string): void;
}

/** `setup_app(command, conf, vars)` of a package's websetup. `vars` has the `name=value` of the command line. */
type SetupHook = (command: SetupCommand, conf: AppConfig, vars: Settings) => unknown;

const GROUP = 'paste.app_install';

/** Python's name, then JavaScript's. */
const HOOK_NAMES = ['setup_app', 'setupApp'];

/** The applications that a context is composed of, each section once. */
async function applicationsOf(context: Context): Promise<FactoryContext[]> {
  const found = context.form === 'factory' && context.kind === 'app' ? [context] : [];
  for (const { context: inner } of await innerContexts(context)) found.push(...(await applicationsOf(inner)));
  const bySection = new Map(found.map((each) => [sectionKey(each), each]));
  return [...bySection.values()];
}

function sectionKey({ sections, target }: FactoryContext): string {
  const [section] = sections;
  return section ? `${section.file}#${section.name}` : target.description;
}

/**
 * The hook of an application: a property of its factory (`makeApp.setup_app`), an export of the factory's module (`export
 * function setup_app`), or the `paste.app_install` that its package declares under the name of the entry point.
 *
 * @returns undefined if it has none.
 * @throws ConfigError if the declared export is not a hook; RunError if a module fails.
 */
async function setupHook(context: FactoryContext): Promise<SetupHook | undefined> {
  const { file, description } = context.target;
  const own = hookOf(await loadTarget(context));
  if (own) return own;
  const owner = file === undefined ? undefined : await enclosingPackage(file);
  const name = /^(?:npm|egg):[^#]*#(.+)$/.exec(description)?.[1] ?? 'main';
  const declared = owner?.entryPoints.get(GROUP)?.get(name);
  if (owner && declared !== undefined) {
    const value = await moduleTarget(declared, owner.root, undefined).load();
    const hook = typeof value === 'function' ? (hookOf(value) ?? (value as SetupHook)) : hookOf(value);
    if (hook) return hook;
    throw new ConfigError('PASTER_SETUP_HOOK', `${owner.name}: ${GROUP} "${name}" (${declared}) is not a setup hook`, {
      hint: 'a function setup_app(command, conf, vars), or an object that has one',
    });
  }
  return file === undefined ? undefined : hookOf(await importModule(file, dirname(file)));
}

function hookOf(value: unknown): SetupHook | undefined {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined;
  const holder = value as Readonly<Record<string, unknown>>;
  const name = HOOK_NAMES.find((each) => Object.hasOwn(holder, each) && typeof holder[each] === 'function');
  if (name === undefined) return undefined;
  const hook = holder[name] as SetupHook;
  return (command, conf, vars) => hook.call(value, command, conf, vars);
}
