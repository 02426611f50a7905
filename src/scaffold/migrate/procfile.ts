/** The processes of a Procfile, as foreman starts them. */
import { dirname } from 'node:path';
import { readEnvFile } from '../../config/env-file.ts';
import { ConfigError, errorCode, errorMessage, type Location } from '../../errors.ts';
import { readConfiguration } from '../../files/user-files.ts';
import { programOfLine } from './command-line.ts';
import { listening, missingNotes, opensPort, servedProgram } from './listening.ts';
import { envFilesOf, type MigratedApp, withEnvFiles } from './migrated-app.ts';

const LINE = /^([A-Za-z0-9_-]+):\s*(\S.*?)\s*$/;
/** foreman's: the first process gets it, and each one after it a hundred more. */
const FIRST_PORT = 5000;
const NEXT_PORT = 100;
const LAST_PORT = 65535;

export interface Procfile {
  readonly apps: readonly MigratedApp[];
  readonly notes: readonly string[];
}

/** @throws ConfigError for a line that is not `NAME: COMMAND`, or a port that is none, with its place */
export function readProcfile(file: string): Procfile {
  const directory = dirname(file);
  const envFiles = envFilesOf(directory);
  const entries = readLines(file);
  const first = firstPort(envFiles, entries);
  const apps = entries.map(({ name, command }, index) => {
    const port = first + index * NEXT_PORT;
    const known = servedProgram(
      programOfLine(command.replace(/\$(?:PORT\b|\{PORT\})/g, String(port)), directory, 'sh'),
      name === 'web',
    );
    // A shell replaces the port itself.
    const whole = programOfLine(command, directory, 'sh');
    const started = known.program.file === undefined ? whole : known.program;
    const cwd = started.cwd ?? directory;
    const variables = { ...started.variables, PORT: String(port) };
    const { program, envFiles: optionFiles } = withEnvFiles(started, cwd, variables);
    const listenKind = listening(program);
    const isServer = name === 'web' && program.file !== undefined && listenKind !== 'other';
    return {
      name,
      program,
      cwd,
      variables,
      envFiles: [...new Set([...envFiles, ...optionFiles])],
      port,
      isServer,
      listens: name === 'web' || ['yes', 'websocket', 'other'].includes(listenKind) || opensPort(program.command ?? []),
      stopSignal: undefined,
      instances: 1,
      schedule: undefined,
      restartSchedule: undefined,
      runsOnce: name === 'release',
      isPartOfPm2: false,
      settings: {},
      notes: [
        ...known.notes,
        ...missingNotes(program, cwd),
        ...(name === 'release' ? ['run it before paster control CONFIG reload'] : []),
        ...(name === 'web' && !isServer
          ? [
              listenKind === 'other'
                ? 'paster serves HTTP; this one opens its port by itself, for another protocol'
                : `paster serves programs of Node; this one listens on port ${port} by itself`,
            ]
          : []),
      ],
    };
  });
  return { apps, notes: [] };
}

/** The port of the first process; those of the others are ports too. */
function firstPort(envFiles: readonly string[], entries: readonly Entry[]): number {
  const [file] = envFiles.filter((each) => readEnvFile(each)['PORT']);
  const text = file === undefined ? String(FIRST_PORT) : (readEnvFile(file)['PORT'] ?? '');
  const port = Number(text);
  const location = file === undefined ? undefined : placeOfPort(file);
  if (!Number.isInteger(port) || port < 1 || port > LAST_PORT) {
    throw new ConfigError('PASTER_MIGRATE', `PORT: ${JSON.stringify(text)} is not a port`, {
      location,
      hint: `allowed: a whole number from 1 to ${LAST_PORT}`,
    });
  }
  const portOf = (index: number) => port + index * NEXT_PORT;
  const beyond = entries.findIndex((_entry, index) => portOf(index) > LAST_PORT);
  const entry = entries[beyond];
  if (!entry) return port;
  const count = entries.length;
  const most = LAST_PORT - (count - 1) * NEXT_PORT;
  const message = `PORT: ${port} is too high for ${count} processes: "${entry.name}" would get port ${portOf(beyond)}`;
  throw new ConfigError('PASTER_MIGRATE', message, {
    location: location ?? entry.location,
    hint:
      most < 1
        ? `each process gets a port ${NEXT_PORT} higher than the one before: split the Procfile`
        : `write PORT= with a number from 1 to ${most} into .env: each process gets a port ${NEXT_PORT} higher than the one before`,
  });
}

/** The last assignment wins. */
function placeOfPort(file: string): Location {
  const lines = readText(file).split('\n');
  const index = lines.findLastIndex((line) => /^[ \t]*(?:export[ \t]+)?PORT[ \t]*=/.test(line));
  return { file, line: index + 1, column: 1 };
}

interface Entry {
  readonly name: string;
  readonly command: string;
  readonly location: Location;
}

function readLines(file: string): Entry[] {
  const entries: Entry[] = [];
  for (const [index, line] of readText(file).split(/\r?\n/).entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    const [, name, command] = LINE.exec(line) ?? [];
    const location = { file, line: index + 1, column: 1 };
    if (name === undefined || command === undefined) {
      throw new ConfigError('PASTER_MIGRATE', `"${line}" is not a process`, {
        location,
        hint: 'a line of a Procfile is NAME: COMMAND, such as web: node server.js',
      });
    }
    entries.push({ name, command, location });
  }
  if (entries.length > 0) return entries;
  throw new ConfigError('PASTER_MIGRATE', 'there is no process', {
    location: { file, line: 1, column: 1 },
    hint: 'a line of a Procfile is NAME: COMMAND, such as web: node server.js',
  });
}

/** Reads the file that `create --from` names. @throws ConfigError for a file that cannot be read, or that is not a regular one */
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
