/** The content type of a response, chosen by the client's Accept header. */
import { expect, test } from 'vitest';
import { preferredType } from '../../src/http/request-headers.ts';

const TYPES = ['text/html', 'application/json', 'text/plain'] as const;

test.each([
  [undefined, 'text/plain'],
  ['*/*', 'text/plain'],
  ['', 'text/plain'],
  ['image/png', 'text/plain'],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8', 'text/html'],
  ['application/json', 'application/json'],
  ['application/json, text/plain, */*', 'application/json'],
  ['text/html;q=0.1, application/json; q=0.2', 'application/json'],
  ['text/*', 'text/html'],
  ['text/*, text/html;q=0', 'text/plain'],
  ['APPLICATION/JSON;charset=utf-8', 'application/json'],
])('%s: %s', (accept, type) => {
  expect(preferredType(accept, TYPES)).toBe(type);
});
