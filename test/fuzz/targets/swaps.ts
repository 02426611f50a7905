/** Sockets and pid files that root creates, reads and removes while another user replaces what is in their directory. */
import { join } from 'node:path';
import { PasterError } from '../../../src/errors.ts';
import { holdSocket } from '../../../src/net/held-socket.ts';
import { openListener } from '../../../src/net/listener.ts';
import { readPidFile, removeStalePidFile, writePidFile } from '../../../src/process/daemon/pidfile.ts';
import { NOBODY, swapFiles } from '../../helpers/programs/swapper.ts';
import type { Random } from '../random.ts';
import { must, type Target } from '../target.ts';

export const swaps: Target = {
  name: 'swaps',
  async start() {
    const swapped = await swapFiles();
    let cases = 0;
    return {
      async run(random, trace) {
        const name = `${random.pick(['a', 'b', 'c'])}${random.chance(0.5) ? cases++ : ''}`;
        const act = random.pick([aSocket, aSocket, aPidFile]);
        trace.push(Buffer.from(`${act.name} ${name}\n`));
        try {
          await act(join(swapped.directory, name), random);
        } catch (error) {
          // paster refuses it, or the other user has removed something that the system needs.
          if (!(error instanceof PasterError) && !isSystemError(error)) throw error;
        }
        const harm = swapped.harm();
        must(harm.length === 0, `another user has changed what is root's: ${harm.join(', ')}`);
        must(process.geteuid?.() === 0, 'root did not get its rights back');
      },
      stop: () => swapped.stop(),
    };
  },
};

async function aSocket(file: string, random: Random): Promise<void> {
  // A held socket takes a process, which takes time.
  const open = random.chance(0.05) ? holdSocket : openListener;
  const group = random.pick([undefined, 1]);
  const mode = random.pick([undefined, 0o600, 0o666]);
  const socket = await open({ kind: 'unix', path: `${file}.sock` }, { owner: NOBODY, group, mode });
  await socket.close();
}

async function aPidFile(file: string, random: Random): Promise<void> {
  const path = `${file}.pid`;
  if (random.chance(0.3)) readPidFile(path);
  if (random.chance(0.3)) removeStalePidFile(path);
  const written = writePidFile(path);
  if (random.chance(0.8)) written.remove();
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
