/** `paster` at a pseudo-terminal, made by `script` of util-linux, as a user sees it. */
import { join } from 'node:path';
import { needProgram, Program, type ProgramOptions, ROOT } from './program.ts';

/** Starts `paster` at a terminal of 100 columns. With `NO_COLOR: ''` in `env` its output has colours. */
export function atTerminal(args: readonly string[], options: ProgramOptions = {}): Program {
  const script = needProgram('script');
  const command = [process.execPath, join(ROOT, 'bin/paster.js'), ...args].map((word) => `'${word}'`).join(' ');
  return new Program(script, ['-qefc', `stty cols 100 rows 30; exec ${command}`, '/dev/null'], {
    typing: true,
    ...options,
    env: { TERM: 'xterm', ...options.env },
  });
}

/** What a terminal shows of the output: without colours and carriage returns. */
export function shown(output: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one.
  return output.replace(/\x1b\[[\d;]*m/g, '').replaceAll('\r', '');
}
