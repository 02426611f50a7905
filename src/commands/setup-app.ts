/** `paster setup-app`: what an application needs before its first start (tables, directories), by its own hook. */
import { guarded } from '../deploy/compose.ts';
import { isComposite } from '../deploy/context.ts';
import { loadContext } from '../deploy/load.ts';
import { LoadSession } from '../deploy/session.ts';
import { applicationsOf, type SetupCommand, setupHook } from '../deploy/setup-hook.ts';
import { configPath, parseUri } from '../deploy/uri.ts';
import { EXIT_OK, printable } from '../errors.ts';
import { programLogger } from '../log.ts';
import type { Settings } from '../protocol/types.ts';
import { setUpLogging } from '../serve/logging.ts';
import { workingDirectory } from '../working-directory.ts';
import { parseAssignments } from './assignments.ts';
import { type Command, type Console, textOption } from './command.ts';
import { DOTENV, readEnvFiles } from './env-file.ts';
import { specUri } from './spec-argument.ts';

export const setupAppCommand: Command = {
  name: 'setup-app',
  summary: 'set up what an application needs: its setup_app hook',
  args: [
    ['<config>', 'an INI file, or FILE#SECTION'],
    ['[name=value...]', 'global configuration; the hooks get it as vars too'],
  ],
  options: [{ flags: '-n, --name <name>', help: 'the application section (default: main)' }, DOTENV],
  examples: [
    ['paster setup-app etc/config.ini', 'every application that the main one is made of'],
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

/** Runs the hooks of all applications of a configuration, one after the other. */
export async function setUp(spec: string, name: string | undefined, vars: Settings, console: Console): Promise<void> {
  const session = new LoadSession(vars);
  const source = specUri(spec);
  const context = await loadContext('app', source, { globalConf: vars, name }, session);
  session.tellWarnings(programLogger('warn', console.err));
  // What the hooks log goes where the file says; a server that runs may be writing there.
  const uri = parseUri(source);
  const file = uri?.scheme === 'config' ? configPath(uri, workingDirectory()) : undefined;
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
    await guarded(app, () => hook(command, { globalConf, localConf }, vars));
    console.out(`${title}: set up`);
  }
}
