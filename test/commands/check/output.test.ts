/** What `paster check` prints of a file: no secrets, and no control characters. */
import { describe, expect, test } from 'vitest';
import { check, SERVER } from './findings.ts';

test('control characters of a file do not reach the terminal', async () => {
  const { stdout } = await check({
    'x.ini': `[app:main]\nuse = \u001b[31mred\u009b\n[app:\u001b[0m]\nuse = main\n${SERVER}`,
  });
  expect(stdout).toContain('\\x1b[31mred\\x9b');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about
  expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u0080-\u009f]/);
});

describe('secrets are not quoted', () => {
  const SCHEMA = `const schema = (validate) => ({ '~standard': { version: 1, vendor: 'x', validate } });
    export const typed = () => {};
    typed.settings = schema((given) => ({ issues: [{ message: \`not a number: "\${given.api_token}"\`, path: ['api_token'] }] }));
    export const failing = () => {};
    failing.settings = schema((given) => { throw new Error('cannot use ' + given.api_token); });\n`;

  test.each([
    ['a value that a schema quotes', '[app:main]\nuse = call:./s.mjs:typed\napi_token = hunter22\n', 3],
    ['a short secret', '[app:main]\nuse = call:./s.mjs:typed\napi_token = hun\n', 3],
    ['an error of a schema', '[app:main]\nuse = call:./s.mjs:failing\napi_token = hunter22\n', undefined],
    ['a line that lacks its "="', '[app:main]\nuse = npm:paster#test\ndb_password hunter22\n', 3],
    ['a line without the indentation of a continuation', '[app:main]\nuse = npm:paster#test\ntoken = a\nhunter22\n', 4],
    ['a password in a URL', '[app:main]\nuse = npm:paster#proxy\naddress = http://me:hunter22@127.0.0.1/\n', 3],
  ])('%s', async (_what, ini, line) => {
    const { stdout, status } = await check({ 'x.ini': `${ini}${SERVER}`, 's.mjs': SCHEMA });
    expect(status).toBe(2);
    expect(stdout).toContain('********');
    expect(stdout).not.toContain('hun');
    if (line !== undefined) expect(stdout).toMatch(new RegExp(`^x\\.ini:${line}:1: `));
  });
});
