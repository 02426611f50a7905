import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { ConfigError } from '../../../src/errors.ts';
import { dropPrivileges } from '../../../src/process/daemon/drop-privileges.ts';
import { requireRoot } from '../../helpers/programs/program.ts';
import { buildSources, removeTree } from '../program.ts';

test('an unknown user or group is an error', () => {
  expect(() => dropPrivileges('no-such-user')).toThrow(ConfigError);
  expect(() => dropPrivileges(undefined, 'no-such-group')).toThrow('there is no group "no-such-group"');
});

test.runIf(requireRoot())('changes to another user, with that user’s groups, permanently', async () => {
  const build = await buildSources();
  try {
    const script = `
      import { dropPrivileges } from ${JSON.stringify(`${build}/process/daemon/drop-privileges.js`)};
      dropPrivileges('nobody');
      let back = true;
      try { process.setuid(0); } catch { back = false; }
      console.log(JSON.stringify([process.getuid(), process.geteuid(), process.getgroups().includes(0), back]));`;
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
    const nobody = Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }));
    expect(JSON.parse(output)).toEqual([nobody, nobody, false, false]);
  } finally {
    removeTree(build);
  }
});
