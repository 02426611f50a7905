import { expect, test } from 'vitest';
import { escapeGlob, parseGlob } from '../../../src/process/reload/glob.ts';

test.each([
  ['/a/*.ini', '/a/x.ini', true],
  ['/a/*.ini', '/a/b/x.ini', false],
  ['/a/*.ini', '/a/.x.ini', false],
  ['/a/*.ini', '/a/xyini', false],
  ['/a/**/*.ini', '/a/x.ini', true],
  ['/a/**/*.ini', '/a/b/c/x.ini', true],
  ['/a/**/*.ini', '/a/.git/x.ini', false],
  ['/a/**', '/a/b/c', true],
  ['/a/**', '/a', false],
  ['/a/b**', '/a/bcd', true],
  ['/a/b**', '/a/bc/d', false],
  ['/a/?.js', '/a/x.js', true],
  ['/a/?.js', '/a/xy.js', false],
  ['/a/[a-c].js', '/a/b.js', true],
  ['/a/[!a-c].js', '/a/b.js', false],
  ['/a/[!a-c].js', '/a/d.js', true],
  ['/a/x[', '/a/x[', true],
  ['/a/*.{js,ts}', '/a/x.ts', true],
  ['/a/*.{js,ts}', '/a/x.cs', false],
  ['/a/{b,c/d}/e', '/a/c/d/e', true],
  ['/a/{b,{c,d}}/e', '/a/d/e', true],
  ['/a/x{', '/a/x{', true],
  ['/a/\\*.js', '/a/*.js', true],
  ['/a/\\*.js', '/a/x.js', false],
  ['/a/(b|c)+.js', '/a/(b|c)+.js', true],
  ['/a/plain.js', '/a/plain.js', true],
  ['/a/plain.js', '/a/plainxjs', false],
])('%s on %s: %s', (pattern, path, expected) => {
  expect(parseGlob(pattern).matches(path)).toBe(expected);
});

test.each([
  ['/a/b/*.js', '/a/b'],
  ['/a/**/x', '/a'],
  ['/*.js', '/'],
  ['/a/plain.js', '/a/plain.js'],
])('the base directory of %s is %s', (pattern, base) => {
  expect(parseGlob(pattern).base).toBe(base);
});

test('an escaped path is literal, even before a pattern', () => {
  const directory = '/work/[a]{b}*?\\c';
  expect(parseGlob(escapeGlob(directory))).toMatchObject({ base: directory, magic: false });
  const glob = parseGlob(`${escapeGlob(directory)}/*.ini`);
  expect([glob.base, glob.matches(`${directory}/x.ini`), glob.matches('/work/ab/x.ini')]).toEqual([
    directory,
    true,
    false,
  ]);
});
