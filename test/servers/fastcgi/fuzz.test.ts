/** Records in any order, broken or not, against a live server: it answers the next honest request, and only that. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { begin, pairs, record, request, stream, TYPE } from './client.ts';
import { type Served, serveFastcgi } from './serve.ts';

let served: Served;
beforeAll(async () => {
  served = await serveFastcgi(
    (req, res) => {
      req.on('error', () => {});
      req.on('data', () => {});
      req.on('end', () => res.end(req.url));
    },
    { multiplexed: 'true' },
  );
});
afterAll(() => served.close());

const id = fc.integer({ min: 0, max: 3 });
const content = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
const piece = fc.oneof(
  fc.tuple(id, fc.integer({ min: 0, max: 4 }), fc.boolean()).map(([n, role, keep]) => begin(n, { role, keep })),
  fc
    .tuple(fc.integer({ min: 0, max: 12 }), id, content, fc.nat(20))
    .map(([type, n, bytes, pad]) => record(type, n, bytes, pad)),
  id.map((n) => stream(TYPE.params, n, pairs({ REQUEST_METHOD: 'GET', REQUEST_URI: '/f' }), 9)),
  id.map((n) => record(TYPE.params, n)),
  id.map((n) => record(TYPE.stdin, n)),
  id.map((n) => request(n, { REQUEST_URI: `/whole/${n}` })),
  content,
);

test('any sequence of records', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), fc.boolean(), async (pieces, byByte) => {
      const fuzzed = await served.client();
      const bytes = Buffer.concat(pieces);
      if (byByte) for (let at = 0; at < bytes.length; at += 5) fuzzed.write(bytes.subarray(at, at + 5));
      else fuzzed.write(bytes);
      const honest = await served.client();
      const answer = await honest.ask(7, { REQUEST_URI: '/honest' });
      expect([answer.status, answer.body.toString()]).toEqual([200, '/honest']);
      await fuzzed.until(() => true);
      for (const each of fuzzed.records) {
        if (each.type !== TYPE.stdout || !each.content.includes('/whole/')) continue;
        expect(each.content.toString()).toMatch(new RegExp(`/whole/${each.id}$`));
      }
      fuzzed.close();
      honest.close();
    }),
    { numRuns: 150 },
  );
});
