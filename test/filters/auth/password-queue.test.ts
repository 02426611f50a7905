/** Threads verify passwords, fairly and in a limited number, while the event loop serves everything else. */
import { describe, expect, test } from 'vitest';
import { PasswordCheck } from '../../../src/filters/auth/basic.ts';
import { hashKind, type PasswordJob, verifyJob } from '../../../src/filters/auth/password.ts';
import { FairQueue, type Verdict, verifyInThread } from '../../../src/filters/auth/password-pool.ts';
import { UserList } from '../../../src/filters/auth/user-list.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { serve } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';

// Hashes of the password "secret".
const SLOW = '$2y$08$MtSb80TQi/Ex1NuY8o2jyuYZFou0e6yzTOeFNkjOsPlTng7vzMnrG';
const FAST = '$2y$04$B36p09qNVLzXWrpHutOnG.89Xf7rbeortJb94hAy1WdDQXWfW0/xq';
const SHA = '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=';

function basic(user: string, password: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

describe('a server whose clients send wrong passwords', () => {
  const start = (): Promise<{ url: string }> => {
    const directory = temporaryDirectory({
      'x.ini': `[composite:main]
use = npm:paster#urlmap
/open = open
/closed = closed
[app:open]
use = npm:paster#test
[pipeline:closed]
pipeline = auth open
[filter:auth]
use = npm:paster#auth_basic
users = joe:${SLOW}
[server:main]
use = npm:paster#http
port = 0
`,
    });
    return serve(['x.ini'], { cwd: directory });
  };

  test('responds to other requests meanwhile, and refuses passwords that do not fit into the queue', async () => {
    const { url } = await start();
    const replies: { status: number; retryAfter: string | undefined }[] = [];
    const wrong = Array.from({ length: 100 }, async (_, index) => {
      const { status, headers } = await ask(url, '/closed', { headers: basic('joe', `wrong ${index}`) });
      replies.push({ status, retryAfter: headers['retry-after'] });
    });
    const verified = (): number => replies.filter(({ status }) => status === 401).length;
    // The queue is full: every password that will be verified is waiting.
    while (replies.length < 10) await new Promise(setImmediate);
    expect(replies.map(({ status }) => status)).toContain(503);
    const before = verified();
    for (let index = 0; index < 5; index++) expect((await ask(url, '/open')).status).toBe(200);
    expect(verified() - before).toBeLessThan(30);
    await Promise.all(wrong);
    expect(verified()).toBeGreaterThanOrEqual(64);
    expect(replies.filter(({ status }) => status !== 401)).toEqual(
      Array.from({ length: 100 - verified() }, () => ({ status: 503, retryAfter: '2' })),
    );
    expect((await ask(url, '/closed', { headers: basic('joe', 'secret') })).status).toBe(200);
  });
});

describe('verifying a password', () => {
  const counted = (users: readonly string[]) => {
    const jobs: PasswordJob[] = [];
    const check = new PasswordCheck(new UserList(users, undefined, String, hashKind), async (_client, job) => {
      jobs.push(job);
      return (await verifyJob(job)) ? 'right' : 'wrong';
    });
    return { check, jobs };
  };

  test('takes the same work for every user name, whether or not the user exists', async () => {
    const { check, jobs } = counted([`joe:${SHA}`, `eve:${FAST}`, `ann:${FAST.replace('$04$', '$05$')}`, `bob:${SHA}`]);
    for (const user of ['joe', 'eve', 'ann', 'bob', 'nobody', 'constructor']) {
      expect(await check.check('', { user, password: 'wrong' })).toBe('wrong');
      // The password of a decoy is wrong for every other user.
      if (user === 'nobody') expect(await check.check('', { user, password: 'secret' })).toBe('wrong');
    }
    const kinds = jobs.map(({ hash, decoys }) => [...(hash ? [hash] : []), ...decoys].map(hashKind).sort());
    expect(kinds).toEqual(jobs.map(() => ['SHA ', 'bcrypt 04', 'bcrypt 05']));
  });

  test('happens once for a correct password, and once for the same wrong one sent many times at once', async () => {
    const { check, jobs } = counted([`eve:${FAST}`]);
    const many = (password: string): Promise<Verdict[]> =>
      Promise.all(Array.from({ length: 20 }, () => check.check('', { user: 'eve', password })));
    expect(new Set(await many('wrong'))).toEqual(new Set(['wrong']));
    expect(new Set(await many('secret'))).toEqual(new Set(['right']));
    expect(new Set(await many('secret'))).toEqual(new Set(['right']));
    expect(jobs).toHaveLength(2);
    expect(await check.check('', { user: 'eve', password: 'wrong' })).toBe('wrong');
    expect(jobs).toHaveLength(3);
  });
});

test('a client that fills the queue does not block the others', async () => {
  const verified: string[] = [];
  const send = async (client: string): Promise<Verdict> => {
    const verdict = await verifyInThread(client, { password: 'wrong', hash: FAST, decoys: [] });
    if (verdict === 'wrong') verified.push(client);
    return verdict;
  };
  const many = Array.from({ length: 200 }, () => send('many'));
  expect(await send('one')).toBe('wrong');
  // It waits for passwords that are being verified, and for its turn.
  expect(verified.indexOf('one')).toBeLessThan(5);
  const verdicts = await Promise.all(many);
  const count = verdicts.filter((verdict) => verdict === 'wrong').length;
  // Of the 64 that wait one is the other client's, and at most two are being verified.
  expect(count).toBeGreaterThanOrEqual(63);
  expect(count).toBeLessThanOrEqual(66);
});

describe('a fair queue', () => {
  test('takes clients in turn, and the items of each in order', () => {
    const queue = new FairQueue<string>(10);
    for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) queue.push(item.charAt(0), item);
    const taken = Array.from({ length: 7 }, () => queue.shift());
    expect(taken).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3', undefined]);
  });

  test('drops the newest item of the client with the most items', () => {
    const queue = new FairQueue<string>(3);
    for (const item of ['a1', 'a2', 'a3']) expect(queue.push('a', item)).toBeUndefined();
    expect(queue.push('a', 'a4')).toBe('a4');
    expect(queue.push('b', 'b1')).toBe('a3');
    expect(queue.push('c', 'c1')).toBe('a2');
    expect(queue.push('d', 'd1')).toBe('d1');
    expect(Array.from({ length: 4 }, () => queue.shift())).toEqual(['a1', 'b1', 'c1', undefined]);
  });
});
