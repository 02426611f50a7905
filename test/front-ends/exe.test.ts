/** An INI file that is a CGI script and has an error: what its operator and its client see. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { blocksBelow } from '../helpers/documentation/documentation.ts';
import { eventually, requireProgram } from '../helpers/programs/program.ts';
import { at, json } from './support/behaviours.ts';
import { FRONT_ENDS, startSite } from './support/front-ends.ts';
import type { Site } from './support/site.ts';

const HEADING = 'An INI file as a CGI script';
const [, SCRIPT = ''] = blocksBelow('docs/apache.md', HEADING);
const missing = requireProgram('apache2') === undefined;

function start(): Promise<Site> {
  const frontEnd = FRONT_ENDS.find(({ heading }) => heading === HEADING);
  if (frontEnd === undefined) throw new Error(`no front end "${HEADING}"`);
  return startSite(frontEnd);
}

test.skipIf(missing).each([
  ['an invalid URI', 'use = config:', 'use = confg:', '6:7: [app:main] unknown scheme "confg:"'],
  ['a missing file', 'config.ini', 'conf.ini', '6:7: [app:main] cannot read'],
  ['an unknown option of serve', 'command = serve', 'comand = serve', '3:1: [exe] serve has no option "comand"'],
])(
  '%s responds 500 and logs the place, and responds normally after it is corrected',
  async (_what, right, wrong, message) => {
    const site = await start();
    site.project.program('app.ini', SCRIPT.replace(right, wrong));
    const failed = await at(site, '/query');
    expect(failed.status).toBe(500);
    expect(failed.body.toString()).not.toContain('app.ini');
    // Apache starts a script in its own directory, and reads its standard error a moment after its response.
    const log = () => readFileSync(site.server.errorLog, 'utf8');
    await eventually(() => log().includes('paster: '));
    expect(log()).toContain(`paster: app.ini:${message}`);
    expect(log()).not.toMatch(/^\s+at /m);
    site.project.program('app.ini', SCRIPT);
    expect(json(await at(site, '/query'))).toMatchObject({ method: 'GET' });
  },
);
