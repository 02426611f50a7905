import { describe, expect, it } from 'vitest';
import { meter } from '../../src/metrics/meter.ts';
import { GlobalState, loadLazyGlobals } from '../../src/process/preload/observe/global-state.ts';
import { rehearse } from '../../src/serve/worker/rehearsal.ts';
import { eventually } from '../helpers/programs/program.ts';

/** The number of timers, sockets and the like of each kind. */
function resources(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

describe.each(['http', 'https', 'fastcgi', 'scgi', 'cgi'])('a rehearsal with %s', (scheme) => {
  it.each([true, false])('leaves nothing for the application to see, with reload %s', async (reload) => {
    loadLazyGlobals();
    // Modules that are imported late are loaded now, as in a spare worker.
    await rehearse({ scheme, reload }, () => false);
    const before = new GlobalState();
    const environment = { ...process.env };
    const earlier = resources();
    await rehearse({ scheme, reload }, () => false);
    const now = new GlobalState();
    expect(now.since(before)).toEqual({ changed: undefined, added: [] });
    expect(now.listenersSince(before)).toBeUndefined();
    expect({ ...process.env }).toEqual(environment);
    await eventually(() => [...resources()].every(([kind, count]) => count <= (earlier.get(kind) ?? 0)));
    expect(
      meter()
        .counts()
        .sections.filter(({ section }) => section !== ''),
    ).toEqual([]);
    expect(meter().limits.size).toBe(0);
  });
});

it('ends when the worker must load an application', async () => {
  let asked = 0;
  await rehearse({ scheme: 'http', reload: true }, () => ++asked > 0);
  expect(asked).toBe(1);
});
