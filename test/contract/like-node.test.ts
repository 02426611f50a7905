/**
 * The other servers must do what node:http does: each case runs on node:http first. What the application saw and
 * what the client received there must be the same elsewhere. Intended differences are in request, head and writing.test.ts.
 */
import { describe, expect, test } from 'vitest';
import { cgiBackend } from './backends/cgi-backend.ts';
import { fastcgiBackend } from './backends/fastcgi-backend.ts';
import { httpBackend } from './backends/http-backend.ts';
import { http2Backend } from './backends/http2-backend.ts';
import { scgiBackend } from './backends/scgi-backend.ts';
import type { Case } from './cases/case.ts';
import { HEAD_CASES } from './cases/head.ts';
import { LIBRARY_CASES } from './cases/libraries.ts';
import { REQUEST_CASES } from './cases/request.ts';
import { WRITING_CASES } from './cases/writing.ts';
import { type Observation, observe } from './observe.ts';

const onNode = new Map<Case, Promise<Observation>>();

/** Each case runs on node:http once. */
function observedOnNode(each: Case): Promise<Observation> {
  const known = onNode.get(each) ?? observe(httpBackend, each);
  onNode.set(each, known);
  return known;
}

const LIBRARIES: [string, readonly Case[]] = ['what libraries do', LIBRARY_CASES];
const ALL: [string, readonly Case[]][] = [
  ['the request', REQUEST_CASES],
  ['the head of the response', HEAD_CASES],
  ['writing and aborting', WRITING_CASES],
  LIBRARIES,
];

describe.each([
  { name: 'node:http', backend: httpBackend, groups: ALL },
  { name: 'FastCGI', backend: fastcgiBackend, groups: ALL },
  { name: 'SCGI', backend: scgiBackend, groups: ALL },
  { name: 'CGI', backend: cgiBackend, groups: ALL },
  { name: 'http2', backend: http2Backend, groups: [LIBRARIES] },
])('$name', ({ backend, groups }) => {
  describe.each(groups)('%s', (_what, cases) => {
    test.each(cases.map((each) => [each.name, each] as const))('%s: the same as on node:http', async (_name, each) => {
      const { seen, answer } = await observe(backend, each);
      const expected = await observedOnNode(each);
      // Without keep-alive, a response without a length ends with its connection, so an aborted one looks complete.
      const complete = backend.keepsConnections ? answer.complete : expected.answer.complete;
      expect({ seen, answer: { ...answer, complete } }).toEqual(expected);
      expect(expected.seen.length + expected.answer.status).toBeGreaterThan(0);
    });
  });
});
