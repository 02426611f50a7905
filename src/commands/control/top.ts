/** `paster control CONFIG top`: the table of `paster status` at a terminal, drawn again every second. */
import { UsageError } from '../../errors.ts';
import { refusedOf, requestsOf } from '../../metrics/counts.ts';
import type { ServerStatus } from '../../metrics/server-status.ts';
import type { FoundServer } from '../../process/ipc/control-client.ts';
import type { Console } from '../command-line/command.ts';
import { statusTable } from '../status.ts';

const PERIOD_MS = 1000;
const DEFAULT_ROWS = 24;
/** q, and Ctrl-C and Ctrl-D, which a terminal sends as keys in its raw mode. */
const ENDING = ['q', '\x03', '\x04'];

/** Switches to the terminal's alternate screen, and turns the cursor and line wrap off; LEAVE undoes all three. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';
/** Moves the cursor to the upper left corner. The next two clear from the cursor to the end of its line, or of the screen. */
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_REST = '\x1b[J';

/** Shows the server until a person presses q or Ctrl-C. @throws RunError when the server ends */
export async function top(server: FoundServer, console: Console): Promise<void> {
  const { stdin, stdout } = process;
  const { screen } = console;
  if (!screen?.isTerminal || !stdin.isTTY || !stdout.isTTY) {
    throw new UsageError('PASTER_USAGE', 'control: top needs a terminal', {
      hint: 'paster status shows the same once',
    });
  }
  let isOver = false;
  let wake = (): void => {};
  const onKey = (key: Buffer): void => {
    if (!ENDING.some((each) => key.includes(each))) return;
    isOver = true;
    wake();
  };
  stdin.setRawMode(true).on('data', onKey).resume();
  stdout.write(ENTER);
  try {
    let before: { readonly status: ServerStatus; readonly at: number } | undefined;
    while (!isOver) {
      const status = await server.ask<ServerStatus>({ command: 'status' });
      const at = performance.now();
      const seconds = before ? (at - before.at) / 1000 : 0;
      const lines = [rateLine(status, before?.status, seconds), '', ...statusTable(status, screen.paint)];
      const shown = lines.slice(0, (stdout.rows || DEFAULT_ROWS) - 2);
      const help = screen.paint('dim', 'q: quit');
      stdout.write(HOME + [...shown, '', help].map((line) => line + CLEAR_LINE).join('\r\n') + CLEAR_REST);
      before = { status, at };
      if (isOver) break;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, PERIOD_MS);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  } finally {
    stdout.write(LEAVE);
    stdin.off('data', onKey).setRawMode(false).pause();
  }
}

/** `12.0 requests/s, 3 in flight, 0.0 refused/s` */
function rateLine(status: ServerStatus, before: ServerStatus | undefined, seconds: number): string {
  const inFlight = status.workers.reduce((sum, { report }) => sum + (report?.inFlightCount ?? 0), 0);
  const rate = (count: (of: ServerStatus) => number): string =>
    before === undefined || seconds === 0 ? '-' : ((count(status) - count(before)) / seconds).toFixed(1);
  return [
    `${rate(({ totals }) => requestsOf(totals))} requests/s`,
    `${inFlight} in flight`,
    `${rate(({ totals }) => refusedOf(totals))} refused/s`,
  ].join(', ');
}
