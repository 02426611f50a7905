/** The documented configuration of every web server, run, with the same behaviours behind each. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { beforeSuite } from '../helpers/lifetime.ts';
import { ROOT, requireProgram } from '../helpers/program.ts';
import { BEHAVIOURS, type Behaviour, type BehaviourName } from './behaviours.ts';
import { FRONT_ENDS, startSite } from './front-ends.ts';
import type { Site } from './site.ts';

const NAMED = Object.entries(BEHAVIOURS) as [BehaviourName, Behaviour][];

describe.each(FRONT_ENDS)('$page: $heading', ({ differs = {}, ...frontEnd }) => {
  const missing = frontEnd.programs.some((name) => requireProgram(name) === undefined);
  let site: Site;
  beforeSuite(async () => {
    if (!missing) site = await startSite(frontEnd);
  });

  for (const [name, behaviour] of NAMED) {
    const difference = differs[name];
    const title = difference ? `${name} (it ${difference.why})` : name;
    test.skipIf(missing)(title, () => (difference?.instead ?? behaviour)(site));
  }
});

test('what differs is documented', () => {
  const page = readFileSync(join(ROOT, 'docs/web-servers.md'), 'utf8').replace(/\s+/g, ' ');
  for (const { differs = {} } of FRONT_ENDS) for (const { why } of Object.values(differs)) expect(page).toContain(why);
});
