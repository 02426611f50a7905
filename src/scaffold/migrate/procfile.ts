/** The processes of a Procfile, as foreman starts them. */
import { dirname } from 'node:path';
import { readEnvFile } from '../../config/env-file.ts';
import { ConfigError, errorCode, errorMessage } from '../../errors.ts';
import { readConfiguration } from '../../files/user-files.ts';
import { envFilesOf, type MigratedApp, programOfLine } from './migrated-app.ts';

const LINE = /^([A-Za-z0-9_-]+):\s*(\S.*?)\s*$/;
/** foreman's: the first process gets it, and each one after it a hundred more. */
const FIRST_PORT = 5000;
const NEXT_PORT = 100;

export interface Procfile {
  readonly apps: readonly MigratedApp[];
  readonly notes: readonly string[];
}

/** @throws ConfigError for a line that is not `NAME: COMMAND`, with its place */
export function readProcfile(file: string): Procfile {
  const directory = dirname(file);
  const envFiles = envFilesOf(directory);
  const first = firstPort(envFiles);
  const entries = readLines(file);
  const apps = entries.map(({ name, command }, index) => {
    const port = first + index * NEXT_PORT;
    const known = programOfLine(command.replace(/\$(?:PORT\b|\{PORT\})/g, String(port)), directory, 'sh');
    // A shell replaces the port itself.
    const program = known.file === undefined ? programOfLine(command, directory, 'sh') : known;
    const variables = { ...program.variables, PORT: String(port) };
    const isServer = name === 'web' && program.file !== undefined;
    return {
      name,
      program,
      cwd: directory,
      variables,
      envFiles,
      port,
      isServer,
      instances: 1,
      schedule: undefined,
      restartSchedule: undefined,
      runsOnce: name === 'release',
      settings: {},
      notes: [
        ...(name === 'release' ? ['run it before paster control CONFIG reload'] : []),
        ...(name === 'web' && !isServer
          ? [`paster serves programs of Node; this one listens on port ${port} by itself`]
          : []),
      ],
    };
  });
  return { apps, notes: [] };
}

function firstPort(envFiles: readonly string[]): number {
  for (const file of envFiles) {
    const text = readEnvFile(file)['PORT'];
    if (!text) continue;
    const port = Number(text);
    if (Number.isInteger(port) && port > 0 && port < 65536) return port;
    throw new ConfigError('PASTER_MIGRATE', `${file}: PORT: ${JSON.stringify(text)} is not a port`, {
      hint: 'allowed: a whole number from 1 to 65535',
    });
  }
  return FIRST_PORT;
}

interface Entry {
  readonly name: string;
  readonly command: string;
}

function readLines(file: string): Entry[] {
  const entries: Entry[] = [];
  for (const [index, line] of readText(file).split(/\r?\n/).entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    const [, name, command] = LINE.exec(line) ?? [];
    if (name === undefined || command === undefined) {
      throw new ConfigError('PASTER_MIGRATE', `"${line}" is not a process`, {
        location: { file, line: index + 1, column: 1 },
        hint: 'a line of a Procfile is NAME: COMMAND, such as web: node server.js',
      });
    }
    entries.push({ name, command });
  }
  if (entries.length > 0) return entries;
  throw new ConfigError('PASTER_MIGRATE', 'there is no process', {
    location: { file, line: 1, column: 1 },
    hint: 'a line of a Procfile is NAME: COMMAND, such as web: node server.js',
  });
}

/** Of what `create --from` is given. @throws ConfigError for a file that cannot be read, or that is not a regular one */
export function readText(file: string): string {
  try {
    return readConfiguration(file)
      .toString()
      .replace(/^\uFEFF/, '');
  } catch (error) {
    const reason = errorCode(error) === 'ENOENT' ? 'there is no such file' : errorMessage(error);
    throw new ConfigError('PASTER_MIGRATE', `cannot read ${file}: ${reason}`);
  }
}
