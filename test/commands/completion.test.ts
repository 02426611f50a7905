/** `paster completion`, asked by the shells themselves. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';
import { needProgram, Program } from '../helpers/programs/program.ts';

/** The output of `script` in a shell that has loaded its completion from ./completion. */
async function inShell(shell: string, args: readonly string[], script: string): Promise<string> {
  const program = needProgram(shell);
  const { stdout } = await runHere(['completion', shell]);
  const directory = temporaryDirectory({ 'etc/x.ini': '' });
  writeFileSync(join(directory, 'completion'), stdout);
  const finished = await new Program(program, [...args, script], {
    cwd: directory,
    env: { HOME: directory },
  }).finished();
  expect(finished.stderr).toBe('');
  return finished.stdout;
}

const BASH = (words: string, index: number): string =>
  `source ./completion; COMP_WORDS=(${words}); COMP_CWORD=${index}; _paster; printf '%s\\n' "\${COMPREPLY[@]}"`;

test.each([
  ['paster se', 1, ['serve', 'setup-app']],
  ['paster help cre', 2, ['create']],
  ['paster serve --reload-', 2, ['--reload-interval']],
  ['paster serve etc/x.ini rest', 3, ['restart']],
  ['paster check etc/', 2, ['etc/x.ini']],
  ['paster export ap', 2, ['apache']],
  ['paster completion f', 2, ['fish']],
  ['paster serve etc/x.ini --server-name st', 4, []],
])('bash: %s', async (words, index, expected) => {
  const output = await inShell('bash', ['--norc', '-c'], BASH(words, index));
  expect(output.split('\n').filter(Boolean).sort()).toEqual(expected);
});

test.each([
  ['paster se', ['serve', 'setup-app']],
  ['paster serve --reload-', ['--reload-interval']],
  ['paster serve etc/x.ini rest', ['restart']],
  ['paster export ap', ['apache']],
])('fish: %s', async (words, expected) => {
  const output = await inShell('fish', ['--no-config', '-c'], `source ./completion; complete -C '${words}'`);
  const names = output.split('\n').map((line) => line.split('\t')[0] ?? '');
  expect(names.filter((name) => name !== '').sort()).toEqual(expected);
});

test('zsh: it is a completion function that zsh can read', async () => {
  const script = 'autoload -Uz compinit; compinit -D -u; source ./completion; print $_comps[paster]';
  const output = await inShell('zsh', ['-fc'], script);
  expect(output).toBe('_paster\n');
});

test('a shell that there is none for is refused', async () => {
  const { stderr, status } = await runHere(['completion', 'bsh']);
  expect(stderr).toBe('paster: completion: there is none for "bsh" (did you mean "bash"?)\n');
  expect(status).toBe(2);
});
