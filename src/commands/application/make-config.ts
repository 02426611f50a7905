/** `paster make-config`: writes an INI file for an installed package, from the package's own template if it has one. */
import { randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type EntryPoint, findEntryPoint } from '../../deploy/modules/entry-points.ts';
import { findDistribution, type PackageInfo } from '../../deploy/modules/packages.ts';
import { declaredSchema } from '../../deploy/schema.ts';
import { EXIT_FAILURE, EXIT_OK, errorCode, errorMessage, RunError, UsageError } from '../../errors.ts';
import { printableLine } from '../../printable.ts';
import { renderConfig, standardConfig, type TemplateVariables } from '../../scaffold/render-text.ts';
import { compareFiles, planFiles, writeFiles } from '../../scaffold/write.ts';
import { fromWorkingDirectory, workingDirectory } from '../../working-directory.ts';
import { parseAssignments } from '../command-line/arguments.ts';
import { type Command, type Console, flagOption, textOption } from '../command-line/command.ts';
import { setUp } from './setup-app.ts';

export const makeConfigCommand: Command = {
  name: 'make-config',
  summary: 'write an INI file for an installed package',
  args: [
    ['<package>', 'an installed package, or PACKAGE#ENTRYPOINT (default: main)'],
    ['<file>', 'the file to write'],
    ['[var=value...]', 'variables of the template'],
  ],
  options: [
    { flags: '--name <name>', help: 'the entry point, instead of PACKAGE#ENTRYPOINT' },
    { flags: '-n, --simulate', help: 'print the file instead of writing it' },
    { flags: '-f, --overwrite', help: 'replace a file that differs' },
    { flags: '--setup', help: 'run setup-app on it afterwards' },
  ],
  examples: [
    ['paster make-config wiki etc/wiki.ini', 'the wiki package’s own template, filled in'],
    ['paster make-config paster#test test.ini', 'a package without a template: the settings that it declares'],
  ],
  run: makeConfig,
};

/** The template at the root of the package, by PasteScript's name for it. */
const TEMPLATE = 'paste_deploy_config.ini_tmpl';

async function makeConfig(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const [spec = '', target = '', ...assignments] = args;
  const [packageName = '', written] = spec.split('#');
  const option = textOption(options, 'name');
  if (option !== undefined && written !== undefined && option !== written) {
    throw new UsageError('PASTER_USAGE', `make-config: "${spec}" and --name ${option} are mutually exclusive`);
  }
  const info = await findDistribution(packageName, workingDirectory());
  const name = written ?? option ?? 'main';
  const point = findEntryPoint(info, 'app', name, 'npm', undefined);
  const variables = {
    package: info.name,
    name,
    app_instance_uuid: randomUUID(),
    app_instance_secret: randomBytes(24).toString('base64url'),
    ...parseAssignments(assignments),
  };
  const text = await configText(info, point, variables);
  if (flagOption(options, 'simulate')) {
    console.out(text.trimEnd());
    return EXIT_OK;
  }
  const path = fromWorkingDirectory(target);
  // It may contain the new secret.
  const file = { path: basename(path), content: Buffer.from(text), mode: 0o640 };
  const comparisons = await compareFiles(dirname(path), [file]);
  const planned = await planFiles(comparisons, () => (flagOption(options, 'overwrite') ? 'overwritten' : 'kept'));
  await writeFiles(dirname(path), planned);
  const outcome = planned[0]?.outcome;
  console.out(printableLine(`${outcome}: ${target}`));
  if (outcome === 'kept') {
    console.err(printableLine(`paster: ${target} differs and was kept (--overwrite replaces)`));
    return EXIT_FAILURE;
  }
  if (flagOption(options, 'setup')) await setUp(path, undefined, {}, console);
  else console.out(`\nNext: paster check ${target} && paster setup-app ${target} && paster serve ${target}`);
  return EXIT_OK;
}

async function configText(info: PackageInfo, point: EntryPoint, variables: TemplateVariables): Promise<string> {
  const file = join(info.root, TEMPLATE);
  const template = await readIfExists(file);
  if (template !== undefined) return renderConfig(template, file, variables);
  const schema = declaredSchema(await point.target.load());
  return standardConfig(point.target.description, schema?.declarations ?? {});
}

async function readIfExists(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw new RunError('PASTER_TEMPLATE', `${file} cannot be read: ${errorMessage(error)}`, { cause: error });
  }
}
