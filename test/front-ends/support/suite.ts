/** The documented configurations of a web server: each is run, and the same behaviours are tested behind it. */
import { describe, test } from 'vitest';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { requireProgram } from '../../helpers/programs/program.ts';
import { BEHAVIOURS, type Behaviour, type BehaviourName } from './behaviours.ts';
import { FRONT_ENDS, type FrontEnd, startSite } from './front-ends.ts';
import type { Site } from './site.ts';

const NAMED = Object.entries(BEHAVIOURS) as [BehaviourName, Behaviour][];

/** The tests of the front ends on a page. Each page has its own test file, so that two run at a time. */
export function testFrontEnds(page: FrontEnd['page']): void {
  describe.each(FRONT_ENDS.filter((frontEnd) => frontEnd.page === page))(
    '$page: $heading',
    ({ differs = {}, ...frontEnd }) => {
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
    },
  );
}
