/** `paster export`: writes configuration for web servers and service managers from an INI file. */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { didYouMean } from '../../config/nearest.ts';
import { LoadSession } from '../../deploy/session.ts';
import { type Paint, plain } from '../../diagnostics/paint.ts';
import { EXIT_OK, errorCode, errorMessage, RunError, UsageError } from '../../errors.ts';
import { readDeployment } from '../../export/deployment.ts';
import { exportTarget, TARGETS } from '../../export/target.ts';
import type { ExportedFile } from '../../export/text.ts';
import { writeText } from '../../files/user-files.ts';
import { printableLine } from '../../printable.ts';
import { DOTENV, iniPath, parseAssignments, readEnvFiles } from '../command-line/arguments.ts';
import {
  type Command,
  type Console,
  camelCase,
  flagOption,
  listOption,
  optionNames,
  textOption,
} from '../command-line/command.ts';

export const exportCommand: Command = {
  name: 'export',
  summary: 'write deployment configuration: web servers, systemd, Docker, Kubernetes',
  args: [
    ['<target>', TARGETS.join(', ')],
    ['<config>', 'an INI file'],
    ['[name=value...]', 'a global value; overrides [DEFAULT]'],
  ],
  options: [
    { flags: '-o, --output <file>', help: 'write to this file (default: standard output)' },
    { flags: '-n, --app-name <name>', help: 'the application section (default: main)', completes: ['app'] },
    DOTENV,
    {
      flags: '--server-section <name>',
      help: 'the server section (default: serve of [paster], or main); several are served together',
      repeatable: true,
    },
    {
      flags: '--host <host>',
      help: 'web servers: a machine that serves the INI file, HOST or HOST:PORT (default: this one)',
      repeatable: true,
    },
    { flags: '--prefix <path>', help: 'web servers: mount the application there, such as /app (default: the root)' },
    { flags: '--server-name <name>', help: 'web servers, kubernetes: the host name of the site (default: any)' },
    { flags: '--listen <address>', help: 'web servers: where they listen (default: *:80; standalone: 127.0.0.1:8900)' },
    {
      flags: '--max-body <size>',
      help: 'web servers, kubernetes: the largest request body (default: that of bodylimit, or 50m)',
    },
    {
      flags: '--backend-ca <file>',
      help: 'web servers: the authority that has signed the certificate of the server (default: its own file)',
    },
    { flags: '--insecure-backend', help: 'web servers: do not verify the certificate of the server' },
    { flags: '--standalone', help: 'web servers: a complete file that an ordinary user can run' },
    {
      flags: '--state-dir <directory>',
      help: 'standalone: the directory for logs and temporary files (default: var/TARGET of the project)',
    },
    { flags: '--split', help: 'systemd: a service for each process, a timer for each task, and a target for all' },
    { flags: '--user <user>', help: 'systemd: the user of the service (default: www-data)' },
    { flags: '--image <image>', help: 'kubernetes: the image (default: PROJECT:latest)' },
    {
      flags: '--cpu <number>',
      help: 'kubernetes: the processors of a pod, such as 1.5 (default: one for each worker)',
    },
    {
      flags: '--memory <size>',
      help: 'kubernetes: the memory of a pod, such as 512Mi (default: from workers and max_memory)',
    },
    {
      flags: '--health <path>',
      help: 'docker, kubernetes: the path that probes request (default: that of npm:paster#health)',
    },
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
  const envFiles = readEnvFiles(options);
  const names = { app: textOption(options, 'appName'), servers: listOption(options, 'serverSection') };
  const session = new LoadSession(parseAssignments(assignments));
  const deployment = await readDeployment(iniPath(config), names, envFiles, session);
  const output = textOption(options, 'output');
  const words = [target, deployment.file, ...assignments, ...optionWords(options)];
  const described = {
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
    split: flagOption(options, 'split'),
    image: textOption(options, 'image'),
    health: textOption(options, 'health'),
    cpu: textOption(options, 'cpu'),
    memory: textOption(options, 'memory'),
    output,
  };
  const { files, directories, warnings } = await exportTarget(target, deployment, described, words);
  for (const warning of warnings) console.err(printableLine(`paster: ${warning}`));
  for (const directory of directories) await reportingErrors(directory, () => mkdir(directory, { recursive: true }));
  if (output === undefined) {
    const text = textOfFiles(files.filter(({ isCompanion }) => !isCompanion)).trimEnd();
    console.out(withDimComments(text, console.screen?.paint));
    return EXIT_OK;
  }
  for (const { name, text, isCompanion } of await placeFiles(output, files)) {
    if (!isCompanion) await reportingErrors(name, async () => writeText(name, text, REPLACE));
    else if (!(await writeNew(name, text)))
      console.err(printableLine(`${name} exists already and was kept: it should exclude **/.env*`));
  }
  return EXIT_OK;
}

/** The given options as on the command line. */
function optionWords(options: Readonly<Record<string, unknown>>): string[] {
  return (exportCommand.options ?? []).flatMap(({ flags }) => {
    const { long } = optionNames(flags);
    const value = options[camelCase(long)];
    if (value === undefined) return [];
    return value === true ? [`--${long}`] : [value].flat().flatMap((each) => [`--${long}`, String(each)]);
  });
}

/** Replaces the file, as an editor would, and creates it with the mode that the umask leaves. */
const REPLACE = { truncate: true, mode: 0o666 };

/** The text of all files; if there are several, each has its name above it. */
function textOfFiles(files: readonly ExportedFile[]): string {
  const [first] = files;
  if (first && files.length === 1) return first.text;
  return files.map(({ name, text }) => `# ${name}\n${text}`).join('\n');
}

/** Dims comments on a terminal. In the files of all targets, `#` begins a comment. */
function withDimComments(text: string, paint: Paint = plain): string {
  return text.replace(/^\s*#.*$/gm, (comment) => paint('dim', comment));
}

/** @returns false if another file exists, which is left alone */
async function writeNew(name: string, text: string): Promise<boolean> {
  if ((await readFile(name, 'utf8').catch(() => undefined)) === text) return true;
  try {
    await writeFile(name, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw new RunError('PASTER_WRITE', `cannot write ${name}: ${errorMessage(error)}`, { cause: error });
  }
}

/** In an existing directory the files have their own names; otherwise `output` is the first file, and the others are beside it. */
async function placeFiles(output: string, files: readonly ExportedFile[]): Promise<ExportedFile[]> {
  const isDirectory = await stat(output).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const beside = (directory: string, file: ExportedFile) => ({ ...file, name: join(directory, file.name) });
  if (isDirectory) return files.map((file) => beside(output, file));
  const own = files.filter(({ isCompanion }) => !isCompanion);
  if (new Set(own.map(({ name }) => extname(name))).size < own.length) {
    throw new UsageError('PASTER_EXPORT', `export: ${output} is not a directory, but there are ${own.length} files`, {
      hint: 'name a directory that exists',
    });
  }
  const stem = output.slice(0, output.length - extname(output).length);
  return files.map((file, index) => {
    if (file.isCompanion) return beside(dirname(output), file);
    return { ...file, name: index === 0 ? output : `${stem}${extname(file.name)}` };
  });
}

function checkTarget(target: string): void {
  if (TARGETS.includes(target)) return;
  throw new UsageError('PASTER_USAGE', `export: there is no target "${target}"`, {
    hint: didYouMean(target, TARGETS),
  });
}

async function reportingErrors(path: string, write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (error) {
    throw new RunError('PASTER_WRITE', `cannot write ${path}: ${errorMessage(error)}`, { cause: error });
  }
}
