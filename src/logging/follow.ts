/** What `paster control logs` shows of a process: the records of its loggers, and what it prints. */
import { StringDecoder } from 'node:string_decoder';
import { type ConsoleStream, tapConsole } from './output/console-output.ts';
import { hierarchy } from './python/logger.ts';
import { ERROR, errorText, INFO, type Level, type LogRecord } from './python/record.ts';

/** A record, or a line that a process has printed. Survives JSON. */
export interface FollowedLine {
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly level: Level;
  /** The logger of a record, or the stream of a printed line. */
  readonly from: { readonly logger: string } | { readonly stream: ConsoleStream };
  /** With the stack of an error below the message. */
  readonly text: string;
  /** How many lines before this one were not sent, since nothing took them in time. */
  readonly lost?: number;
}

/** Characters of a line that are kept. */
const MAX_LENGTH = 16_384;
/** Printed lines have the levels that `capture_console` gives to the streams. */
const PRINTED: Readonly<Record<ConsoleStream, Level>> = { stdout: INFO, stderr: ERROR };

/**
 * Calls back with each record that its logger lets through, and each printed line, of `level` and above.
 * @returns a function that ends this
 */
export function followOutput(level: Level, take: (line: FollowedLine) => void): () => void {
  const { pid } = process;
  const endings = [
    hierarchy().follow({
      level,
      needsCaller: false,
      handle: (record) => take({ pid, ...described(record) }),
      flush() {},
      reopen() {},
      close() {},
    }),
  ];
  for (const name of ['stdout', 'stderr'] as const) {
    if (PRINTED[name] < level) continue;
    const add = lineSplitter((text) =>
      take({ pid, time: Date.now(), level: PRINTED[name], from: { stream: name }, text }),
    );
    endings.push(tapConsole(name, add));
  }
  return () => {
    for (const end of endings) end();
  };
}

function described({ created, level, logger, message, error }: LogRecord): Omit<FollowedLine, 'pid'> {
  const text = error ? `${message}\n${errorText(error)}` : message;
  return { time: created, level, from: { logger }, text: text.slice(0, MAX_LENGTH) };
}

/** Calls back with each whole line of what comes in pieces. */
function lineSplitter(onLine: (line: string) => void): (chunk: Buffer) => void {
  const decoder = new StringDecoder();
  let rest = '';
  return (chunk) => {
    const lines = decoder.write(chunk).split('\n');
    lines[0] = rest + lines[0];
    rest = (lines.pop() ?? '').slice(0, MAX_LENGTH);
    for (const line of lines) onLine(line.slice(0, MAX_LENGTH));
  };
}
