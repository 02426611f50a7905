/** `paster export`: what stands around an application, made from its INI file so that both agree. */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { nearest } from '../config/nearest.ts';
import { LoadSession } from '../deploy/session.ts';
import { EXIT_OK, errorCode, errorMessage, RunError, UsageError } from '../errors.ts';
import { readDeployment } from '../export/deployment.ts';
import { exportTarget, TARGETS } from '../export/target.ts';
import type { ExportedFile } from '../export/text.ts';
import { printableLine } from '../printable.ts';
import { writeText } from '../user-files.ts';
import { parseAssignments } from './assignments.ts';
import { type Command, type Console, flagOption, listOption, textOption } from './command.ts';
import { DOTENV, readEnvFiles } from './env-file.ts';
import { iniPath } from './ini-argument.ts';

export const exportCommand: Command = {
  name: 'export',
  summary: 'write the configuration of what stands around an application',
  args: [
    ['<target>', TARGETS.join(', ')],
    ['<config>', 'an INI file'],
    ['[name=value...]', 'global configuration; wins over [DEFAULT]'],
  ],
  options: [
    { flags: '-o, --output <file>', help: 'write it there (standard output)' },
    { flags: '-n, --app-name <name>', help: 'the application section (main)' },
    DOTENV,
    { flags: '--server-section <name>', help: 'the server section (main)' },
    { flags: '--host <host>', help: 'web servers: HOST or HOST:PORT that serves the INI file', repeatable: true },
    { flags: '--prefix <path>', help: 'web servers: mount the application there, such as /app (the root)' },
    { flags: '--server-name <name>', help: 'web servers, kubernetes: the host name of the site (any)' },
    { flags: '--listen <address>', help: 'web servers: where they listen (*:80; standalone: 127.0.0.1:8900)' },
    { flags: '--max-body <size>', help: 'web servers, kubernetes: the largest request body (of bodylimit, or 50m)' },
    { flags: '--backend-ca <file>', help: 'web servers: who has signed the certificate of the server (its own file)' },
    { flags: '--insecure-backend', help: 'web servers: do not verify the certificate of the server' },
    { flags: '--standalone', help: 'web servers: a complete file that an ordinary user can run' },
    { flags: '--state-dir <directory>', help: 'standalone: where logs and the like go (var/TARGET of the project)' },
    { flags: '--user <user>', help: 'systemd: whose the service is (www-data)' },
    { flags: '--image <image>', help: 'kubernetes: the image (PROJECT:latest)' },
    { flags: '--health <path>', help: 'docker, kubernetes: what a probe asks for (where npm:paster#health is)' },
  ],
  examples: [
    ['paster export nginx etc/config.ini > /etc/nginx/sites-enabled/shop', 'the site of an nginx on this machine'],
    ['paster export nginx etc/config.ini --standalone -o nginx.conf', 'to try at once: nginx -c $PWD/nginx.conf'],
    [
      'paster export nginx etc/config.ini --host 10.0.0.5:5050 --host 10.0.0.6:5050',
      'one nginx in front of two machines',
    ],
  ],
  run: exportConfiguration,
};

async function exportConfiguration(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const [target = '', config = '', ...assignments] = args;
  checkTarget(target);
  readEnvFiles(options);
  const names = { app: textOption(options, 'appName'), server: textOption(options, 'serverSection') };
  const session = new LoadSession(parseAssignments(assignments));
  const deployment = await readDeployment(iniPath(config), names, session);
  const output = textOption(options, 'output');
  const { files, directories } = await exportTarget(target, deployment, {
    hosts: listOption(options, 'host'),
    prefix: textOption(options, 'prefix'),
    serverName: textOption(options, 'serverName'),
    listen: textOption(options, 'listen'),
    maxBody: textOption(options, 'maxBody'),
    standalone: flagOption(options, 'standalone'),
    stateDir: textOption(options, 'stateDir'),
    backendCa: textOption(options, 'backendCa'),
    insecureBackend: flagOption(options, 'insecureBackend'),
    user: textOption(options, 'user'),
    image: textOption(options, 'image'),
    health: textOption(options, 'health'),
    output,
  });
  for (const directory of directories) await writing(directory, () => mkdir(directory, { recursive: true }));
  if (output === undefined) {
    console.out(textOf(files.filter(({ isCompanion }) => !isCompanion)).trimEnd());
    return EXIT_OK;
  }
  for (const { name, text, isCompanion } of await placed(output, files)) {
    if (!isCompanion) await writing(name, async () => writeText(name, text, WHOLE));
    else if (!(await written(name, text)))
      console.err(printableLine(`${name} exists already and was kept: it should exclude **/.env*`));
  }
  return EXIT_OK;
}

/** As an editor would write it: instead of what was there, with the mode that the umask leaves. */
const WHOLE = { truncate: true, mode: 0o666 };

/** One after the other, each below its name where there are several. */
function textOf(files: readonly ExportedFile[]): string {
  const [first] = files;
  if (first && files.length === 1) return first.text;
  return files.map(({ name, text }) => `# ${name}\n${text}`).join('\n');
}

/** @returns false where another file is there already, which is left alone. */
async function written(name: string, text: string): Promise<boolean> {
  if ((await readFile(name, 'utf8').catch(() => undefined)) === text) return true;
  try {
    await writeFile(name, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw new RunError('PASTER_WRITE', `cannot write ${name}: ${errorMessage(error)}`, { cause: error });
  }
}

/** In a directory that is there, by their names; else the first one where it was said, and the others beside it. */
async function placed(output: string, files: readonly ExportedFile[]): Promise<ExportedFile[]> {
  const isDirectory = await stat(output).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const beside = (directory: string, file: ExportedFile) => ({ ...file, name: join(directory, file.name) });
  if (isDirectory) return files.map((file) => beside(output, file));
  const stem = output.slice(0, output.length - extname(output).length);
  return files.map((file, index) => {
    if (file.isCompanion) return beside(dirname(output), file);
    return { ...file, name: index === 0 ? output : `${stem}${extname(file.name)}` };
  });
}

function checkTarget(target: string): void {
  if (TARGETS.includes(target)) return;
  const meant = nearest(target, TARGETS);
  throw new UsageError('PASTER_USAGE', `export: there is no target "${target}"`, {
    hint: meant === undefined ? `there are: ${TARGETS.join(', ')}` : `did you mean "${meant}"?`,
  });
}

async function writing(path: string, write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (error) {
    throw new RunError('PASTER_WRITE', `cannot write ${path}: ${errorMessage(error)}`, { cause: error });
  }
}
