/** `paster upgrade`: has the paster and the Node that run this command take over from a running server. */
import { EXIT_OK } from '../../errors.ts';
import { canUpgrade } from '../../process/ipc/control-client.ts';
import type { UpgradeOutcome } from '../../process/ipc/control-socket.ts';
import { inNewestRelease } from '../../working-directory.ts';
import { iniPath } from '../command-line/arguments.ts';
import type { Command, Console } from '../command-line/command.ts';
import { oneServer, PID, pidOption } from './servers.ts';

export const upgradeCommand: Command = {
  name: 'upgrade',
  summary: 'replace a running server by a new process: new paster, Node and application',
  args: [['<config>', 'an INI file']],
  options: [PID],
  examples: [
    ['paster upgrade etc/config.ini', 'returns when the new process serves, or says why the old one keeps serving'],
    ['paster upgrade --pid 4711 etc/config.ini', 'this server, if several run with the file'],
  ],
  run: upgrade,
};

async function upgrade(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const server = await oneServer(iniPath(args[0] ?? ''), pidOption(options, 'upgrade'), 'upgrade', canUpgrade);
  // The path keeps its symbolic links, so that a later USR2 follows them again.
  const program = { node: process.execPath, script: inNewestRelease(process.argv[1] ?? '') };
  try {
    const { pid, version, node } = await server.ask<UpgradeOutcome>({ command: 'upgrade', program });
    console.out(`server ${server.pid} is replaced by ${pid}, with paster ${version} and Node ${node}`);
  } finally {
    server.close();
  }
  return EXIT_OK;
}
