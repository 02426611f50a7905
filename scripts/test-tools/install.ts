/** Installs what tools.ts lists: `npm run test:tools`, once on a machine, and again for newer versions. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { TOOLS, toolDirectory } from './tools.ts';

const OPTIONS = [
  '--no-save',
  '--no-package-lock',
  '--ignore-scripts',
  '--no-audit',
  '--no-fund',
  '--loglevel',
  'error',
];

for (const tool of TOOLS) {
  const directory = toolDirectory(tool);
  mkdirSync(directory, { recursive: true });
  const { status } = spawnSync('npm', ['install', '--prefix', directory, ...OPTIONS, tool.specifier], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) process.exitCode = 1;
  process.stdout.write(`${tool.name}: ${status === 0 ? directory : 'could not be installed'}\n`);
}
