/** The path of a URL as file names. */
import { expect, test } from 'vitest';
import { pathNames, targetPath } from '../../src/http/url-path.ts';

test.each([
  ['/', [], true],
  ['/a/b', ['a', 'b'], false],
  ['/a/', ['a'], true],
  ['//a///b', ['a', 'b'], false],
  ['/a%20b/%C3%BC', ['a b', 'ü'], false],
  ['/%252e%252e', ['%2e%2e'], false],
  ['/...', ['...'], false],
  ['/..a/a..', ['..a', 'a..'], false],
])('%s becomes file names', (path, names, directory) => {
  expect(pathNames(path)).toEqual({ names, directory });
});

test.each([
  ['/..', 400],
  ['/%2E%2e/x', 400],
  ['/.', 400],
  ['/a\\..\\b', 400],
  ['/..%2fx', 400],
  ['/a%2fb', 404],
  ['/a%5cb', 404],
  ['/%00', 400],
  ['/a%0d%0ab', 400],
  ['/%c0%ae', 400],
  ['/%', 400],
  ['a', 400],
  ['*', 400],
])('%s is refused with %i', (path, refused) => {
  expect(pathNames(path)).toEqual({ refused });
});

test('the path of a request target is found', () => {
  expect(targetPath('/a?b')).toBe('/a');
  expect(targetPath('http://host:1/a/b?c')).toBe('/a/b');
  expect(targetPath('http://host')).toBe('/');
  expect(targetPath('*')).toBe('*');
});
