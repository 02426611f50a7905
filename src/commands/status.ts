/** `paster status`: shows the status of the running servers of an INI file. */
import type { Paint } from '../diagnostics/paint.ts';
import { ErrorList, EXIT_OK } from '../errors.ts';
import { requestsOf } from '../metrics/counts.ts';
import type { ServerStatus, WorkerStatus } from '../metrics/server-status.ts';
import { addressLine, duration, inFlightLines, mebibytes, milliseconds, statusLines } from '../metrics/status-lines.ts';
import { askStatus } from '../process/ipc/control-client.ts';
import { iniPath } from './command-line/arguments.ts';
import { type Command, type Console, flagOption } from './command-line/command.ts';
import { jsonDocument } from './command-line/json.ts';
import { notRunning, notUnderstood, serversOf } from './control/servers.ts';

export const statusCommand: Command = {
  name: 'status',
  summary: 'show the running server of an INI file: workers and requests',
  args: [['<config>', 'an INI file']],
  options: [{ flags: '--json', help: 'as JSON' }],
  examples: [
    ['paster status etc/config.ini', 'each worker with its requests; exit status 1 if no server runs'],
    ['paster status --json etc/config.ini', 'the same for a program'],
    ['paster serve etc/config.ini status', 'only whether the server of the pid file runs'],
  ],
  run: status,
};

async function status(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const file = iniPath(args[0] ?? '');
  const { servers: found, foreign } = await serversOf(file, 'status');
  const servers = await askStatus(found);
  if (servers.length === 0 && foreign.length === 0) throw notRunning(file);
  if (flagOption(options, 'json')) console.out(jsonDocument({ file, servers }));
  else if (servers.length > 0) {
    const { screen } = console;
    const lines = screen?.isTerminal
      ? servers.flatMap((each) => statusTable(each, screen.paint))
      : servers.flatMap(statusLines);
    console.out(lines.join('\n'));
  }
  if (foreign.length > 0) throw new ErrorList(foreign.map(notUnderstood));
  return EXIT_OK;
}

// --- at a terminal: a table of the processes, with the requests in flight below it ---------------------------------

const HEADINGS = ['PID', 'state', 'up', 'requests', 'in flight', 'memory', 'heap', 'loop lag'];

/** The lines of the table, the server's own first if it has workers. */
export function statusTable(status: ServerStatus, paint: Paint): string[] {
  const { pid, workers } = status;
  const isAlone = workers.length === 1 && workers[0]?.pid === pid;
  const [server = ''] = statusLines(status);
  const rows = workers.map((worker) => ({ worker, cells: cellsOf(worker) }));
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...rows.map(({ cells }) => cells[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    widths
      .map((width, column) => (cells[column] ?? '').padEnd(width))
      .join('  ')
      .trimEnd();
  return [
    ...(isAlone ? [] : [paint('bold', server)]),
    paint('dim', line(HEADINGS)),
    ...rows.flatMap(({ worker, cells }) => [
      worker.state === 'ready' && worker.silent === undefined ? line(cells) : paint('yellow', line(cells)),
      ...(worker.report ? inFlightLines(worker.report).map((request) => paint('cyan', request)) : []),
    ]),
    ...(status.addresses ?? []).map(addressLine),
  ];
}

function cellsOf({ pid, state, report, silent }: WorkerStatus): string[] {
  const shown = silent === undefined ? state : `silent ${silent.toFixed(1)} s`;
  if (!report) return [String(pid ?? '?'), shown];
  const { uptime, counts, inFlightCount, memory, lag } = report;
  return [
    String(pid ?? '?'),
    shown,
    duration(uptime),
    String(requestsOf(counts)),
    String(inFlightCount),
    mebibytes(memory.resident),
    mebibytes(memory.heapUsed),
    milliseconds(lag.mean),
  ];
}
