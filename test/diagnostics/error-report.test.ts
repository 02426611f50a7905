/** Errors as a terminal shows them. */
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { codeFrame, errorReport } from '../../src/diagnostics/error-report.ts';
import { paintFor, plain } from '../../src/diagnostics/paint.ts';
import { ConfigError, ErrorList } from '../../src/errors.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

const LINES = ['[app:a]', 'use = a', '', 'password = secret', '\tmore', 'a = \x1b[2J'];

function project(): string {
  return temporaryDirectory({ 'package.json': '{}', 'x.ini': `${LINES.join('\n')}\n`, 'app.js': 'one;\n\ttwo();\n' });
}

const inIni = (directory: string, line: number, column: number) => ({
  file: join(directory, 'x.ini'),
  line,
  column,
  isConfiguration: true,
});

test('the excerpt marks the column, masks secrets and escapes control characters', async () => {
  const directory = project();
  expect(await codeFrame(inIni(directory, 4, 12), plain)).toEqual([
    '',
    '    2 | use = a',
    '    3 |',
    '  > 4 | password = ********',
    '      |            ^',
    '    5 |   ********',
    '    6 | a = \\x1b[2J',
    '',
  ]);
  expect((await codeFrame(inIni(directory, 5, 2), plain)).slice(-2)).toEqual(['    6 | a = \\x1b[2J', '']);
  expect((await codeFrame(inIni(directory, 7, 1), plain)).slice(-3)).toEqual(['  > 7 | ', '      | ^', '']);
  expect(await codeFrame(inIni(directory, 99, 1), plain)).toEqual([]);
});

test('at a terminal the same excerpt is coloured', async () => {
  const place = inIni(project(), 6, 5);
  const coloured = await codeFrame(place, paintFor({ isTTY: true }, {}));
  expect(coloured.join('\n')).toContain('\x1b[');
  expect(coloured.map(stripVTControlCharacters)).toEqual(await codeFrame(place, plain));
});

test('frames outside the project are folded, unless all are requested', async () => {
  const directory = project();
  const error = new TypeError('no');
  const at = `${join(directory, 'app.js')}:2:2`;
  const others = [`    at inner (${directory}/node_modules/p/i.js:1:2)`, '    at node:internal/x:3:4'];
  error.stack = `TypeError: no\n    at two (${at})\n${others.join('\n')}`;
  error.cause = new Error('before');
  const report = (isVerbose: boolean) => errorReport(error, { paint: plain, directory, isVerbose });
  const folded = await report(false);
  expect(folded.slice(0, 6)).toEqual(['TypeError: no', '', '    1 | one;', '  > 2 |   two();', '      |   ^', '']);
  expect(folded).toContain(`    at two (${at})`);
  expect(folded.join('\n')).toMatch(/… \d+ frames of Node, paster and packages \(-v shows them\)\n/);
  expect(folded.at(-1)).toBe('caused by Error: before');
  const whole = (await report(true)).join('\n');
  expect(whole).toContain(`at inner (${directory}/node_modules/p/i.js:1:2)`);
  expect(whole).not.toContain('-v shows');
});

test('each error of a list has its own excerpt', async () => {
  const directory = project();
  const { file } = inIni(directory, 1, 1);
  const errors = [1, 2].map(
    (line) => new ConfigError('PASTER_X', `wrong ${line}`, { location: { file, line, column: 1 } }),
  );
  const lines = await errorReport(new ErrorList(errors), { paint: plain, directory, isVerbose: false });
  expect(lines.filter((line) => line.includes('wrong'))).toEqual([`${file}:1:1: wrong 1`, `${file}:2:1: wrong 2`]);
  expect(lines.filter((line) => line.startsWith('  >'))).toEqual(['  > 1 | [app:a]', '  > 2 | use = a']);
});
