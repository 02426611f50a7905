import { expect, test } from 'vitest';
import { ConnectionShare } from '../../../src/process/worker/accept-balancer.ts';
import { ConnectionTable } from '../../../src/process/worker/connection-table.ts';
import { whenOver } from '../../helpers/programs/lifetime.ts';
import { eventually } from '../../helpers/programs/program.ts';

test('a worker that refuses requests leaves connections to those that do not', async () => {
  const table = ConnectionTable.open();
  expect(table).toBeDefined();
  if (!table) return;
  const busy = [true, false];
  const shares = busy.map((_, index) => {
    const slot = table.reserve() ?? 0;
    const share = new ConnectionShare({ fd: table.fd, slot }, () => busy[index] ?? false);
    share.open();
    return { slot, share };
  });
  const [one, other] = shares;
  if (!one || !other) throw new Error('each worker has a share');
  whenOver(() => {
    for (const { share } of shares) share.close();
    table.close();
  });
  // The other one has more connections, and capacity for even more.
  for (let count = 0; count < 10; count++) other.share.adopt();
  one.share.accept();
  expect(one.share.hasMoreThanItsShare).toBe(true);
  // Connections are not left to a worker that has few of them because it refuses requests.
  expect(other.share.hasMoreThanItsShare).toBe(false);
  expect(table.connections(one.slot)).toBe(1);
  // If all of them refuse, waiting would not help.
  busy[1] = true;
  other.share.accept();
  expect(one.share.hasMoreThanItsShare).toBe(false);
  busy.fill(false);
  await eventually(() => other.share.hasMoreThanItsShare);
  expect(table.connections(other.slot)).toBe(11);
});
