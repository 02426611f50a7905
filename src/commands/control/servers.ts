/** Finds the running servers of an INI file for a command. */
import { relative } from 'node:path';
import { errorCode, RunError, UsageError } from '../../errors.ts';
import { ownVersion } from '../../own-files.ts';
import { type FoundServer, type FoundServers, findServers } from '../../process/ipc/control-client.ts';
import { workingDirectory } from '../../working-directory.ts';
import { type CommandOption, textOption } from '../command-line/command.ts';

/** The option that names one of several servers. */
export const PID: CommandOption = { flags: '--pid <pid>', help: 'the server, if several run with this file' };

/** @param command for messages */
export function pidOption(options: Readonly<Record<string, unknown>>, command: string): number | undefined {
  const text = textOption(options, 'pid');
  return text === undefined ? undefined : pidOf(text, command);
}

/** @throws UsageError for a text that is no PID */
export function pidOf(text: string, command = 'control'): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw new UsageError('PASTER_USAGE', `${command}: "${text}" is not a PID`, {
    hint: 'paster status names the server and its workers by their PIDs',
  });
}

/**
 * @param command for messages
 * @param isUnderstood as for `findServers`
 * @throws UsageError if there is no such file
 */
export async function serversOf(
  file: string,
  command: string,
  isUnderstood?: Parameters<typeof findServers>[1],
): Promise<FoundServers> {
  try {
    return await findServers(file, isUnderstood);
  } catch (cause) {
    if (errorCode(cause) !== 'ENOENT') throw cause;
    throw new UsageError('PASTER_USAGE', `${command}: there is no file ${shown(file)}`, { cause });
  }
}

/**
 * The only server of a file.
 * @param pid the one that is meant, if there are several
 * @param command for messages
 * @param isUnderstood as for `findServers`
 * @throws RunError if there is none, or if it is not clear which one is meant
 */
export async function oneServer(
  file: string,
  pid: number | undefined,
  command = 'control',
  isUnderstood?: Parameters<typeof findServers>[1],
): Promise<FoundServer> {
  const { servers, foreign } = await serversOf(file, command, isUnderstood);
  const meant = pid === undefined ? servers : servers.filter((each) => each.pid === pid);
  for (const each of servers) if (each !== meant[0] || meant.length > 1) each.close();
  const [server, other] = meant;
  if (server && !other) return server;
  if (other) {
    throw new RunError('PASTER_SEVERAL_SERVERS', `several servers of ${shown(file)} are running`, {
      hint: `name one of them: ${servers.map((each) => `--pid ${each.pid}`).join(', ')}`,
    });
  }
  const [incompatible] = foreign.filter((each) => pid === undefined || each.pid === pid);
  if (incompatible) throw notUnderstood(incompatible);
  if (servers.length === 0) throw notRunning(file);
  throw new RunError('PASTER_NOT_RUNNING', `server ${pid} of ${shown(file)} is not running`, {
    hint: `there are: ${servers.map((each) => each.pid).join(', ')}`,
  });
}

export function notRunning(file: string): RunError {
  return new RunError('PASTER_NOT_RUNNING', `no server of ${shown(file)} is running`, {
    hint: 'only servers of your user are found; for a server of another user, run the command as that user',
  });
}

export function notUnderstood({ pid, version }: FoundServers['foreign'][number]): RunError {
  return new RunError('PASTER_OTHER_VERSION', `server ${pid} runs paster ${version}, and this is ${ownVersion()}`, {
    hint: `use paster ${version} for this command, or restart the server`,
  });
}

function shown(file: string): string {
  return relative(workingDirectory(), file);
}
