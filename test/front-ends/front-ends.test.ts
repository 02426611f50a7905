/** What the documentation says about front ends in addition to their configurations. */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT, requireProgram } from '../helpers/programs/program.ts';
import { ask } from '../helpers/requests/ask.ts';
import { at, json } from './support/behaviours.ts';
import { FRONT_ENDS, startSite } from './support/front-ends.ts';

function page(name: string): string {
  return readFileSync(join(ROOT, name), 'utf8').replace(/\s+/g, ' ');
}

test('each page has a test file', () => {
  for (const { page: name } of FRONT_ENDS) {
    const file = join(import.meta.dirname, `${basename(name, '.md')}.test.ts`);
    expect(readFileSync(file, 'utf8')).toContain(`testFrontEnds('${name}')`);
  }
});

test('each difference is documented', () => {
  const text = page('docs/web-servers.md');
  for (const { differs = {} } of FRONT_ENDS) for (const { why } of Object.values(differs)) expect(text).toContain(why);
});

const nginx = requireProgram('nginx');

test.skipIf(nginx === undefined).each(['fastcgi', 'scgi'])('nginx: Host has its port, over %s', async (gateway) => {
  const heading = gateway === 'fastcgi' ? 'FastCGI' : 'SCGI';
  const frontEnd = FRONT_ENDS.find((each) => each.page === 'docs/nginx.md' && each.heading === heading);
  const [said = '', param = ''] = /`fastcgi_param (HTTP_HOST [^`]*)`/.exec(page('docs/nginx.md')) ?? [];
  expect(said).not.toBe('');
  if (frontEnd === undefined) return expect.unreachable('docs/nginx.md has no such example');
  const site = await startSite(frontEnd, (text) =>
    text.replace(/include .*;/, (include) => `${include}\n${gateway}_param ${param}`),
  );
  const { headers } = json(await at(site, '/query')) as { headers: Record<string, string> };
  expect(headers['host']).toBe(new URL(site.server.url).host);
});

const BELOW_A_PREFIX = FRONT_ENDS.filter(({ prefix }) => prefix !== '');

describe.each(BELOW_A_PREFIX)('$page: $heading', (frontEnd) => {
  const missing = frontEnd.programs.some((name) => requireProgram(name) === undefined);

  test.skipIf(missing)(
    'a path that only starts with the same characters as the prefix is not the application’s',
    async () => {
      const { server, prefix } = await startSite(frontEnd);
      expect((await ask(server.url, `${prefix}/query`)).status).toBe(200);
      for (const path of ['/apple', '/app.js']) {
        const { status, body } = await ask(server.url, path);
        expect(status).toBe(404);
        // The application's own text for a page that it does not have.
        expect(body.toString()).not.toContain('no such page');
      }
    },
  );
});
