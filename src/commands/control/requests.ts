/** Shows the requests in flight of a server, with the place where a blocked worker is. */
import { requestLine } from '../../metrics/status-lines.ts';
import { printableLine } from '../../printable.ts';
import type { BlockedWorker, RequestsOutcome } from '../../process/supervisor/supervisor-control.ts';

/** The requests of all workers, the oldest first, then the blocked workers. */
export function requestLines({ status, blocked }: RequestsOutcome): string[] {
  const { workers, pid: server } = status;
  const known = new Map(blocked.map((each) => [each.pid, each]));
  const requests = workers.flatMap(({ pid = 0, report, silent = 0 }) => {
    // A worker that is blocked has not reported the request that blocks it.
    const current = known.get(pid)?.thread?.requests;
    const named = current ?? report?.inFlight.map((each) => ({ ...each, seconds: each.seconds + silent })) ?? [];
    return named.map((request) => ({ pid, request }));
  });
  const all = workers.reduce((sum, { report }) => sum + (report?.inFlightCount ?? 0), 0);
  const more = all - requests.length;
  return [
    ...requests
      .sort((one, other) => other.request.seconds - one.request.seconds)
      .map(({ pid, request }) => requestLine(request) + (pid === server ? '' : `, worker ${pid}`)),
    ...(more > 0 ? [`and ${more} more`] : []),
    ...blocked.flatMap(blockedLines),
  ].map(printableLine);
}

function blockedLines({ pid, thread, reason }: BlockedWorker): string[] {
  if (reason !== undefined) return [reason];
  if (!thread) return [`worker ${pid} waits for the system, in something like execSync: there is no stack to show`];
  return [`worker ${pid} is blocked here:`, ...thread.frames.map((frame) => `  ${frame}`)];
}
