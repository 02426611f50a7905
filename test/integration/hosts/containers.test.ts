/** paster within CPU and memory limits that the kernel enforces. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import { whenOver } from '../../helpers/programs/lifetime.ts';
import { eventually, Program, ROOT } from '../../helpers/programs/program.ts';

const MIB = 1024 * 1024;

/**
 * Creates control groups with these limits.
 * @returns their directories, one for each controller; undefined if this user or this machine cannot create them
 */
function realGroup(limits: Readonly<Record<string, Readonly<Record<string, string>>>>): string[] | undefined {
  const name = `paster-test-${process.pid}`;
  const groups: string[] = [];
  whenOver(() => groups.forEach((group) => void rmdirSync(group)));
  try {
    for (const [hierarchy, files] of Object.entries(limits)) {
      const group = join('/sys/fs/cgroup', hierarchy, name);
      mkdirSync(group);
      groups.push(group);
      for (const [file, text] of Object.entries(files)) writeFileSync(join(group, file), text, { flag: 'r+' });
    }
    return groups;
  } catch {
    return undefined;
  }
}

describe('in a control group of half a processor and 256 MiB', () => {
  test('paster runs one worker, says why, and replaces it when it grows', async ({ skip }) => {
    const memory = String(256 * MIB);
    const groups = existsSync('/sys/fs/cgroup/cgroup.controllers')
      ? realGroup({ '': { 'cpu.max': '50000 100000', 'memory.max': memory } })
      : realGroup({ cpu: { 'cpu.cfs_quota_us': '50000' }, memory: { 'memory.limit_in_bytes': memory } });
    if (!groups) return skip('needs control groups that this user may make');
    const directory = temporaryDirectory();
    writeFiles(directory, {
      'app.mjs': `const kept = [];
        export default (req, res) => {
          if (req.url === '/grow') kept.push(Buffer.alloc(190 * 1024 * 1024, 1));
          res.end(String(process.pid));
        };`,
    });
    const enter = groups.map((group) => `echo $$ > ${group}/cgroup.procs`).join('; ');
    const command = [process.execPath, `${ROOT}/bin/paster.js`, 'serve', '-v', `module:${directory}/app.mjs`];
    const args = ['-c', `${enter}; exec "$@"`, 'sh', ...command, '-w', 'auto', '-p', '0'];
    const program = new Program('sh', args);
    const [, url] = await program.says(/^serving on (\S+)$/m);
    await program.says(/1 worker: 0\.5 CPUs by cgroup quota/);
    await program.says(/max_memory is \d+ \(256 MiB by cgroup limit\)/);
    const before = await (await fetch(`${url}/grow`)).text();
    await program.says(new RegExp(`worker ${before} uses \\d+ MiB of memory, its share of 256 MiB by cgroup limit`));
    await eventually(async () => (await (await fetch(`${url}/`)).text()) !== before);
    expect((await program.kill('SIGTERM')).status).toBe(0);
  });
});
