/** `paster status`: how the running server of an INI file is. */
import { relative } from 'node:path';
import { ErrorList, EXIT_OK, errorCode, RunError, UsageError } from '../errors.ts';
import { statusLines } from '../metrics/status-lines.ts';
import { askServers, type FoundServers } from '../process/control-socket.ts';
import { ownVersion } from '../version.ts';
import { workingDirectory } from '../working-directory.ts';
import { type Command, type Console, flagOption } from './command.ts';
import { iniPath } from './ini-argument.ts';
import { jsonDocument } from './json.ts';

export const statusCommand: Command = {
  name: 'status',
  summary: 'show how the running server of an INI file is',
  args: [['<config>', 'an INI file']],
  options: [{ flags: '--json', help: 'as JSON' }],
  examples: [
    ['paster status etc/config.ini', 'each worker with its requests; exit status 1 if no server runs'],
    ['paster status --json etc/config.ini', 'the same for a program'],
    ['paster serve etc/config.ini status', 'whether the server of the pid file runs, and no more'],
  ],
  run: status,
};

async function status(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const file = iniPath(args[0] ?? '');
  const { servers, foreign } = await askServers(file).catch((cause) => {
    if (errorCode(cause) !== 'ENOENT') throw cause;
    throw new UsageError('PASTER_USAGE', `status: there is no file ${relative(workingDirectory(), file)}`, { cause });
  });
  if (servers.length === 0 && foreign.length === 0) {
    throw new RunError('PASTER_NOT_RUNNING', `no server of ${relative(workingDirectory(), file)} runs`, {
      hint: 'only servers of the same user are found; kill -USR2 has any of them write the same into its log',
    });
  }
  if (flagOption(options, 'json')) console.out(jsonDocument({ file, servers }));
  else if (servers.length > 0) console.out(servers.flatMap(statusLines).join('\n'));
  if (foreign.length > 0) throw new ErrorList(foreign.map(notUnderstood));
  return EXIT_OK;
}

function notUnderstood({ pid, version }: FoundServers['foreign'][number]): RunError {
  return new RunError('PASTER_OTHER_VERSION', `server ${pid} runs paster ${version}, and this is ${ownVersion()}`, {
    hint: 'ask with the paster that it was started with, or restart it',
  });
}
