/** The documented configuration of every web server, run, with the same behaviours behind each. */
import { describe, test } from 'vitest';
import { blocksBelow } from '../helpers/documentation.ts';
import { beforeSuite } from '../helpers/lifetime.ts';
import { requireProgram } from '../helpers/program.ts';
import { BEHAVIOURS, type Behaviour, type BehaviourName } from './behaviours.ts';
import { FRONT_ENDS, startSite } from './front-ends.ts';
import type { Site } from './site.ts';

describe.each(FRONT_ENDS)('$page: $heading', (frontEnd) => {
  const missing = frontEnd.programs.some((name) => requireProgram(name) === undefined);
  let site: Site;
  beforeSuite(async () => {
    if (!missing) site = await startSite(frontEnd);
  });

  for (const [name, behaviour] of Object.entries(BEHAVIOURS) as [BehaviourName, Behaviour][]) {
    const difference = frontEnd.differs?.[name];
    const title = difference ? `${name}: ${difference.why}` : name;
    test.skipIf(missing)(
      title,
      () => (difference?.instead ?? behaviour)(site),
      Number(process.env['FE_TIMEOUT'] ?? 60000),
    );
  }
});
