/** The table of docs/programs.md equals what `npm run docs` generates from test/applications/, and every row of it is tested. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PAGE, pageWithTable } from '../../scripts/tested-with.ts';
import * as catalogue from '../applications/support/catalogue.ts';
import { ROOT } from '../helpers/programs/program.ts';

test('docs/programs.md is up to date: npm run docs', () => {
  const page = readFileSync(PAGE, 'utf8');
  expect(page).toBe(pageWithTable(page));
});

test('every application of the table has a test file that runs it', () => {
  const directory = join(ROOT, 'test/applications');
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.test.ts'),
  );
  const run = files.flatMap((file) =>
    [...readFileSync(join(directory, file), 'utf8').matchAll(/^testApplication\((\w+)\);$/gm)].map(([, name]) => name),
  );
  const { APPLICATIONS, ...named } = catalogue;
  const inTable = Object.entries(named).flatMap(([name, each]) => (APPLICATIONS.includes(each) ? [name] : []));
  expect(inTable).toHaveLength(APPLICATIONS.length);
  expect(run.sort()).toEqual(inTable.sort());
});
