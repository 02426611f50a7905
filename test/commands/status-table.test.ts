/** `paster status` at a terminal. */
import { expect, test } from 'vitest';
import { statusTable } from '../../src/commands/status.ts';
import { plain } from '../../src/diagnostics/paint.ts';
import { Meter } from '../../src/metrics/meter.ts';

test('has a row of columns for each process, followed by its requests in flight', () => {
  const alone = new Meter().alone();
  const report = {
    ...new Meter().report(),
    uptime: 61,
    inFlightCount: 1,
    inFlight: [{ method: 'GET', url: '/\x1b', client: undefined, section: undefined, seconds: 2 }],
    memory: { resident: 90 * 2 ** 20, heapUsed: 2 ** 20, heapTotal: 2 ** 20, external: 0 },
  };
  const lag = { ...report.lag, mean: 0.0012 };
  const workers = [
    { pid: 12345, state: 'ready', report: { ...report, lag }, silent: undefined },
    { pid: 7, state: 'starting', report: undefined, silent: undefined },
  ] as const;
  const [server, ...lines] = statusTable({ ...alone, workers }, plain);
  expect(server).toMatch(/^server \d+, up 0 s/);
  expect(lines).toEqual([
    'PID    state     up         requests  in flight  memory  heap   loop lag',
    '12345  ready     1 min 1 s  0         1          90 MiB  1 MiB  1.2 ms',
    '  GET /\\x1b, for 2.0 s',
    '7      starting',
  ]);
  expect(statusTable(alone, plain)).toHaveLength(2);
});
