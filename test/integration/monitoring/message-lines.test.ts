/** No message, whatever it quotes, can start its own line on standard error or in a log. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, paster, serve } from '../../helpers/programs/program.ts';

/** Each character that some program treats as a line end, and the text that would then start a line of a log. */
const FORGED = 'real\\nforged 1\\r\\nforged 2\\rforged 3\\u2028forged 4\\u0085forged 5\\vforged 6\\n\\nforged 7';
const THROW = `throw new Error('${FORGED}')`;

/** Splits at line ends of any kind, and checks the start of each line. */
function expectNoForgedLine(text: string): void {
  expect(text).toContain('forged 7');
  expect(text.split(/[\n\r\v\f\u0085\u2028\u2029]/).filter((line) => /^(?:paster: )?\s{0,2}forged/.test(line))).toEqual(
    [],
  );
}

function project(files: Record<string, string>, ini = ''): string {
  return temporaryDirectory({
    'package.json': '{ "type": "module" }',
    'app.js': `export const make = () => () => { ${THROW}; };\n`,
    'x.ini': `[app:main]\nuse = call:./app.js:make\n${ini}\n[server:main]\nuse = npm:paster#http\nport = 0\n`,
    ...files,
  });
}

describe('while the application is loaded', () => {
  test.each([
    ['a module', `${THROW};`],
    ['a factory', `export const make = () => { ${THROW}; };`],
  ])('%s that throws', async (_what, code) => {
    const cwd = project({ 'app.js': code });
    for (const options of [[], ['-v'], ['-w', '1']]) {
      const { stderr } = await paster(['serve', 'x.ini', ...options], { cwd }).finished();
      expectNoForgedLine(stderr);
    }
  });

  test('in the report of check', async () => {
    const { stdout } = await paster(['check', 'x.ini'], { cwd: project({ 'app.js': `${THROW};` }) }).finished();
    expectNoForgedLine(stdout);
  });

  test('in the background', async () => {
    const cwd = project({ 'app.js': `console.error('${FORGED}'); process.exit(3);` });
    const { stderr } = await paster(['serve', 'x.ini', 'start'], { cwd }).finished();
    expectNoForgedLine(stderr);
  });
});

describe('in an error of a request', () => {
  test.each([
    ['alone', '', []],
    ['a worker', '', ['-w', '1']],
    ['error_catcher', 'filter-with = f\n[filter:f]\nuse = npm:paster#error_catcher\nerror_log = %(here)s/errors', []],
    ['httpexceptions', 'filter-with = f\n[filter:f]\nuse = npm:paster#httpexceptions', []],
  ])('%s', async (name, ini, options) => {
    const status =
      name === 'httpexceptions' ? `const error = new Error('${FORGED}'); error.status = 503; throw error` : THROW;
    const cwd = project({ 'app.js': `export const make = () => () => { ${status}; };\n` }, ini);
    const program = await serve(['x.ini', ...options], { cwd });
    expect((await fetch(`${program.url}/a%0Aforged`)).status).toBeGreaterThanOrEqual(500);
    await program.says(/forged 7/);
    expectNoForgedLine(program.output);
    if (ini.includes('error_log')) {
      await eventually(() => readFileSync(join(cwd, 'errors'), 'utf8').includes('forged 7'));
      expectNoForgedLine(readFileSync(join(cwd, 'errors'), 'utf8'));
    }
  });

  test('in an error that ends the process', async () => {
    const cwd = project({ 'app.js': `export const make = () => () => void setTimeout(() => { ${THROW}; });\n` });
    for (const options of [[], ['-w', '1']]) {
      const program = await serve(['x.ini', ...options], { cwd });
      await fetch(program.url).catch(() => {});
      await program.says(/forged 7/);
      expectNoForgedLine(program.output);
    }
  });
});
