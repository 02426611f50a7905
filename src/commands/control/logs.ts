/** `paster control CONFIG logs -f`: what all processes of a server log and print, live. */
import { UsageError } from '../../errors.ts';
import type { FollowedLine } from '../../logging/follow.ts';
import { DEBUG, ERROR, LEVELS, levelName, WARNING } from '../../logging/python/record.ts';
import { strftime } from '../../logging/python/strftime.ts';
import { printableLine } from '../../printable.ts';
import type { FoundServer } from '../../process/ipc/control-client.ts';
import type { Console } from '../command-line/command.ts';

export interface LogOptions {
  readonly level: string | undefined;
  readonly follow: boolean;
}

/** Shows lines until the server ends, or this command is interrupted. */
export async function logs(server: FoundServer, console: Console, { level, follow }: LogOptions): Promise<void> {
  if (!follow) {
    throw new UsageError('PASTER_USAGE', 'control: logs shows only what is logged from now on: write logs -f', {
      hint: 'earlier lines are where the handlers of the INI file, or --log-file, write them',
    });
  }
  const asked = server.ask({ command: 'logs', level: levelOf(level) }, (line: FollowedLine) => {
    for (const each of lineTexts(line, console)) console.out(each);
  });
  // A server that ends has shown everything.
  await Promise.race([asked, server.closed]).catch(() => {});
}

function levelOf(text = 'DEBUG'): number {
  const level = LEVELS.get(text.toUpperCase());
  if (level !== undefined) return Math.max(level, DEBUG);
  throw new UsageError('PASTER_USAGE', `control: --level: "${text}" is no level`, {
    hint: 'there are: debug, info, warning, error, critical',
  });
}

function lineTexts({ pid, time, level, from, text, lost = 0 }: FollowedLine, { screen }: Console): string[] {
  const milliseconds = String(Math.floor(time % 1000)).padStart(3, '0');
  const clock = `${strftime('%Y-%m-%d %H:%M:%S', new Date(time))},${milliseconds}`;
  const origin = 'logger' in from ? `${levelName(level)} ${from.logger}` : from.stream;
  const colour = level >= ERROR ? 'red' : level >= WARNING ? 'yellow' : undefined;
  const painted = screen && colour ? screen.paint(colour, origin) : origin;
  const [first = '', ...stack] = text.split('\n').map(printableLine);
  return [
    ...(lost > 0 ? [`${lost} lines are left out: they came faster than they could be shown`] : []),
    `${clock} ${pid} ${painted}: ${first}`,
    ...stack,
  ];
}
