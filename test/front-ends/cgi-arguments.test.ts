/**
 * Apache passes a query without "=" as arguments. Node looks for some of its own options in the arguments of a script too,
 * and could be made to run a client's code. No query has such an effect on any version of Node.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { NODES } from '../../scripts/test-tools/tools.ts';
import { beforeSuite } from '../helpers/programs/lifetime.ts';
import { requireProgram, requireTool } from '../helpers/programs/program.ts';
import { at } from './support/behaviours.ts';
import { FRONT_ENDS, startSite } from './support/front-ends.ts';
import type { Project, Site } from './support/site.ts';

const missing = requireProgram('apache2') === undefined;

/** The options that Node reads after the script, in some or all versions, and the newer --config-file. */
const OPTIONS = [
  '--env-file',
  '--env-file-if-exists',
  '--experimental-config-file',
  '--experimental-default-config-file',
  '--config-file',
];

/** Code that creates a file if Node runs it. */
const trap = (project: Project): string =>
  `data:text/javascript,import('node:fs').then(fs=>fs.writeFileSync('${project.path('var/taken')}',''))`;

function startWith(module: string): Promise<Site> {
  const frontEnd = FRONT_ENDS.find(({ heading }) => heading === 'An INI file as a CGI script');
  if (frontEnd === undefined) throw new Error('no such front end');
  return startSite({ ...frontEnd, modules: [module] });
}

/** mod_cgi passes the same arguments, so one Node shows what it adds: nothing. */
const STARTED_BY = [
  { module: 'cgid', versions: NODES },
  { module: 'cgi', versions: NODES.slice(-1) },
] as const;

describe.each(STARTED_BY)('mod_$module', ({ module, versions }) => {
  let site: Site;
  beforeSuite(async () => {
    if (missing) return;
    site = await startWith(module);
    const { project } = site;
    const config = JSON.stringify({ nodeOptions: { import: [trap(project)] } });
    writeFileSync(project.path('var/trap.env'), `NODE_OPTIONS="--import=${trap(project)}"\n`);
    writeFileSync(project.path('var/trap.json'), config);
    // Node looks for a file of this name in the current directory, which is that of the script.
    writeFileSync(project.path('bin/node.config.json'), config);
  });

  describe.each(versions)('Node %s', (version) => {
    const node = requireTool(`node ${version}`);
    const onNode = test.skipIf(missing || node === undefined);

    /** Requests the path: the application responds, and Node has run no code of the client. */
    async function isHarmless(path: string, status = 200, body = ''): Promise<void> {
      const { project } = site;
      rmSync(project.path('node_modules/.bin/node'));
      symlinkSync(node ?? '', project.path('node_modules/.bin/node'));
      const reply = await at(site, path, { method: body === '' ? 'GET' : 'POST', body });
      const isTaken = existsSync(project.path('var/taken'));
      rmSync(project.path('var/taken'), { force: true });
      expect({ isTaken, status: reply.status }).toEqual({ isTaken: false, status });
    }

    onNode('Node runs the code of these files if it gets the option itself', () => {
      const { project } = site;
      const files = { '--env-file': 'var/trap.env', '--experimental-config-file': 'var/trap.json' };
      for (const [option, file] of Object.entries(files)) {
        // Node 20 has no configuration file.
        if (option === '--experimental-config-file' && version === NODES[0]) continue;
        execFileSync(node ?? '', [`${option}=${project.path(file)}`, '-e', '0'], { stdio: 'ignore' });
        expect([option, existsSync(project.path('var/taken'))]).toEqual([option, true]);
        rmSync(project.path('var/taken'));
      }
    });

    onNode.each(OPTIONS)('%s has no effect', async (option) => {
      const file = site.project.path(option.includes('config') ? 'var/trap.json' : 'var/trap.env');
      await isHarmless(`/query?${option}+${file}`);
      await isHarmless(`/query?${option}%3D${file}`);
      await isHarmless(`/query?x+--+${option}+${file}`);
    });

    onNode('variables in the path, by way of /proc/self/environ', async () => {
      const variable = encodeURIComponent(`\nNODE_OPTIONS="--import=${trap(site.project)}"\n`);
      await isHarmless(`/${variable}?--env-file+/proc/self/environ`, 404);
    });

    onNode('a configuration in the body', async () => {
      const config = JSON.stringify({ nodeOptions: { import: [trap(site.project)] } });
      await isHarmless('/echo?--experimental-config-file+/dev/stdin', 200, config);
    });
  });
});
