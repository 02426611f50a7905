/** Runs a program on a pseudo-terminal and keeps what it writes, with times: by `script` of bsdutils. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What came at once, and when: seconds since the start. */
export interface Chunk {
  readonly time: number;
  readonly text: string;
}

export interface RecordOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly columns: number;
  readonly rows: number;
}

/**
 * @param command for the shell
 * @throws Error where the command fails
 */
export async function record(command: string, options: RecordOptions): Promise<Chunk[]> {
  const { cwd, env = process.env, columns, rows } = options;
  const directory = mkdtempSync(join(tmpdir(), 'recording-'));
  const [output, timing] = [join(directory, 'output'), join(directory, 'timing')];
  const sized = `stty cols ${columns} rows ${rows} 2>/dev/null; ${command}`;
  try {
    await run('script', ['-q', '-e', '-f', '-c', sized, '--log-out', output, '--log-timing', timing], {
      cwd,
      env: { ...env, TERM: 'xterm-256color' },
      maxBuffer: 64 * 1024 * 1024,
    });
    return parseRecording(readFileSync(output), readFileSync(timing, 'utf8'));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * @param output `script --log-out`: a line of its own, then the bytes
 * @param timing `script --log-timing`: lines of seconds since the last one and a number of bytes
 */
export function parseRecording(output: Buffer, timing: string): Chunk[] {
  let at = output.indexOf('\n') + 1;
  let time = 0;
  const decoder = new TextDecoder();
  return timing
    .split('\n')
    .map((line) => /^(\d+\.\d+) (\d+)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, pause, count]) => {
      time += Number(pause);
      const bytes = output.subarray(at, at + Number(count));
      at += Number(count);
      return { time, text: decoder.decode(bytes, { stream: true }) };
    });
}

/** The same with no pause longer than `longest` seconds. */
export function withoutIdling(chunks: readonly Chunk[], longest: number): Chunk[] {
  let [cut, last] = [0, 0];
  return chunks.map(({ time, text }) => {
    cut += Math.max(0, time - last - longest);
    last = time;
    return { time: time - cut, text };
  });
}
