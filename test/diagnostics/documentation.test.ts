/** The lines below an error that refer to its entry in docs/error-codes.md. */
import { expect, test } from 'vitest';
import { documentationLines } from '../../src/diagnostics/error-report.ts';
import { ConfigError, ErrorList, RunError } from '../../src/errors.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { readPage } from '../helpers/documentation/documentation.ts';
import { paster } from '../helpers/programs/program.ts';

const INI = '[app:main]\nuse = npm:paster#tets\n';

test('-v prints the code of the error and its place in the documentation', async () => {
  const cwd = temporaryDirectory({ 'app.ini': INI });
  const verbose = await paster(['request', '-v', 'app.ini', '/'], { cwd }).finished();
  expect(verbose.stderr.split('\n')[1]).toBe(
    '  PASTER_ENTRY_POINT_MISSING: docs/error-codes.md#paster_entry_point_missing',
  );
  const quiet = await paster(['request', 'app.ini', '/'], { cwd }).finished();
  expect(quiet.stderr).not.toContain('PASTER_');
});

test('several errors print each code once, and codes of one family share an entry', () => {
  const errors = [
    new RunError('PASTER_LISTEN_EADDRINUSE', 'x'),
    new ConfigError('PASTER_SETTING', 'x'),
    new ConfigError('PASTER_SETTING', 'y'),
  ];
  expect(documentationLines(new ErrorList(errors))).toEqual([
    'PASTER_LISTEN_EADDRINUSE: docs/error-codes.md#paster_listen',
    'PASTER_SETTING: docs/error-codes.md#paster_setting',
  ]);
  expect(readPage('docs/error-codes.md')).toContain('\n## PASTER_LISTEN\n');
});
