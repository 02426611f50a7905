/** White space is the same as in Python, for every code unit. */
import { expect, test } from 'vitest';
import { isSpace, pythonStrip } from '../../src/config/whitespace.ts';

// [c for c in range(0x110000) if chr(c).isspace()], which is also what \s matches
const PYTHON_SPACES = [
  0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003,
  0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
];

test('isSpace holds for the same characters as in Python', () => {
  const found = Array.from({ length: 0x10000 }, (_, code) => code).filter(isSpace);
  expect(found).toEqual(PYTHON_SPACES);
});

test('pythonStrip strips what Python strips, and keeps what only JavaScript strips', () => {
  const spaces = String.fromCharCode(...PYTHON_SPACES);
  expect(pythonStrip(`${spaces}a${spaces}b${spaces}`)).toBe(`a${spaces}b`);
  expect(pythonStrip('\ufeffa\ufeff')).toBe('\ufeffa\ufeff');
  expect(pythonStrip(spaces)).toBe('');
  expect(pythonStrip('')).toBe('');
});
