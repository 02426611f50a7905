/** The extra lines of the log record about a dead worker. */
import { describe, expect, test } from 'vitest';
import { NO_COUNTS } from '../../src/metrics/counts.ts';
import type { ProcessReport } from '../../src/metrics/server-status.ts';
import type { DeadWorker } from '../../src/process/supervisor/worker-handle.ts';
import { deathDetails } from '../../src/serve/death-details.ts';

const REPORT: ProcessReport = {
  pid: 1,
  uptime: 1,
  counts: NO_COUNTS,
  certificates: [],
  inFlight: [{ method: 'GET', url: '/x', client: undefined, section: 'app:x', seconds: 1 }],
  inFlightCount: 3,
  connections: 3,
  upgraded: 0,
  memory: { resident: 0, heapUsed: 0, heapTotal: 0, external: 0 },
  lag: { mean: 0, most: 0, recent: 0 },
};

function detailsOf(worker: Partial<DeadWorker>): string {
  const nothing = { failure: undefined, lastReport: undefined, report: undefined, reportAge: 0, killedFor: undefined };
  return deathDetails({ ...nothing, ...worker }, { code: 9, signal: null });
}

describe('the requests in flight', () => {
  test('are those that the worker reported when it ended, and the number of others', () => {
    const stale = { ...REPORT, inFlightCount: 90 };
    expect(detailsOf({ lastReport: REPORT, report: stale, reportAge: 10 })).toBe(
      '\n  it had these requests in flight:\n    GET /x, for 1.0 s, [app:x]\n    and 2 more',
    );
  });

  test('are those of its last report, shortly before', () => {
    expect(detailsOf({ report: REPORT, reportAge: 900 })).toContain(
      '  it had these requests in flight, 0.9 s before:\n    GET /x',
    );
  });

  test('are not those of an old report', () => {
    expect(detailsOf({ report: REPORT, reportAge: 3_600_000 })).toBe('');
  });
});
