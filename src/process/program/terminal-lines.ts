/**
 * Reads the lines that are typed at this process's terminal. A shell that ignores TTIN does it, so that nothing stops in the
 * background, and this process gets no TTIN, which would add a worker. The terminal stays as it is: Ctrl-C,
 * Ctrl-Z and Ctrl-\ are signals, and there is nothing to restore, however the process ends. Single keys would need another
 * mode, which each Node process that ends would undo.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/**
 * The reader ends when it is in the background or the terminal closes. A second shell waits for the pipe to close, when this process
 * ends, and kills the reader: otherwise it would take what is typed for the next program.
 */
const READ = `
trap '' INT QUIT HUP TERM TTIN TTOU
{ read -r _ <&3; kill -9 "$$"; } </dev/null >/dev/null &
exec 3<&-
while read -r line; do printf '%s\\n' "$line"; done
kill -9 "$!"
`;

/** How often to look whether the terminal is this process's own again. */
const SHORTEST_WAIT_MS = 1000;
const MAX_WAIT_MS = 60_000;
/** More than a user types in a line. */
const LONGEST_LINE = 1000;

export class TerminalLines {
  readonly #onLine: (line: string) => void;
  #reader: ChildProcess | undefined;
  #wait = SHORTEST_WAIT_MS;
  #closed = false;

  /** Reads until `close`. Does not keep this process from ending. */
  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
    process.once('exit', () => this.#reader?.kill('SIGKILL'));
    this.#tryToRead();
  }

  /** Resolves when nothing more is taken from the terminal: what is typed after the end of this process is for another one. */
  async close(): Promise<void> {
    this.#closed = true;
    const reader = this.#reader;
    if (!reader) return;
    const exited = once(reader, 'exit');
    reader.ref();
    if (reader.kill('SIGKILL')) await exited;
  }

  /** Waits longer each time until something is typed: if reading always fails, shells must not be started again and again. */
  #tryToRead(): void {
    if (this.#closed) return;
    const isOurs = isInForeground();
    if (isOurs) this.#read();
    else this.#retry();
    this.#wait = isOurs ? Math.min(this.#wait * 2, MAX_WAIT_MS) : SHORTEST_WAIT_MS;
  }

  #retry(): void {
    setTimeout(() => this.#tryToRead(), this.#wait).unref();
  }

  #read(): void {
    const reader = spawn('/bin/sh', ['-c', READ], {
      cwd: '/',
      env: { PATH: process.env['PATH'] },
      stdio: ['inherit', 'pipe', 'ignore', 'pipe'],
    });
    this.#reader = reader;
    let text = '';
    reader.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      this.#wait = SHORTEST_WAIT_MS;
      const lines = (text + chunk).split('\n');
      text = (lines.pop() ?? '').slice(0, LONGEST_LINE);
      for (const line of lines) this.#onLine(line);
    });
    // Without a shell there are no keys.
    reader.on('error', () => {});
    reader.once('exit', () => {
      this.#reader = undefined;
    });
    reader.stdout?.once('close', () => {
      reader.stdio[3]?.destroy();
      this.#retry();
    });
    for (const stream of [reader, reader.stdout, reader.stdio[3]]) {
      if (stream && 'unref' in stream && typeof stream.unref === 'function') stream.unref();
    }
  }
}

/** Whether this process is in the terminal's foreground. True if that is not known: then the shell finds out. */
function isInForeground(): boolean {
  try {
    // After the name, which may contain anything: state, parent, group, session, terminal, the terminal's foreground group.
    const [, , group, , , foreground] = (readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1) ?? '').split(' ');
    return group === foreground;
  } catch {
    return true;
  }
}
