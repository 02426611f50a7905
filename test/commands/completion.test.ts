/** `paster completion`, tested in the shells themselves. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';
import { needProgram, Program } from '../helpers/programs/program.ts';

/** The names of the last section would run commands in a shell that expands them. */
const INI = `[app]
use = module:./app.js
[pipeline: site ]
pipeline = app
[server:main]
[server:live]
[process:mailer]
command = [process:no]
[process:queue]
[task:nightly]
 [task:indented]
[task:$(touch${'\t'}executed)]
[task:\`touch executed\`]
`;

/** The output of `script` in a shell that has loaded ./completion. */
async function inShell(shell: string, args: readonly string[], script: string): Promise<string> {
  const program = needProgram(shell);
  const { stdout } = await runHere(['completion', shell]);
  const directory = temporaryDirectory({ 'etc/x.ini': INI, 'my app.ini': '[task:other]\n' });
  writeFileSync(join(directory, 'completion'), stdout);
  const finished = await new Program(program, [...args, script], {
    cwd: directory,
    env: { HOME: directory },
  }).finished();
  expect(finished.stderr).toBe('');
  expect(existsSync(join(directory, 'executed'))).toBe(false);
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
  ['paster serve etc/x.ini --server-name ""', 4, ['live', 'main']],
  ['paster config etc/x.ini -n ""', 4, ['main', 'site']],
  ['paster serve etc/x.ini --only ""', 4, ['mailer', 'nightly', 'queue', 'web']],
  ['paster serve etc/x.ini --only = m', 5, ['mailer']],
  ['paster serve etc/x.ini --without = ', 4, ['mailer', 'nightly', 'queue', 'web']],
  ['paster serve --without web,ma etc/x.ini', 3, ['web,mailer']],
  ['paster serve --without web,mailer, etc/x.ini', 3, ['web,mailer,nightly', 'web,mailer,queue']],
  ['paster run etc/x.ini ""', 3, ['nightly']],
  ['paster run "my\\\\ app.ini" ""', 3, ['other']],
  ['paster control etc/x.ini stop ""', 4, ['mailer', 'queue']],
  ['paster control etc/x.ini st', 3, ['start', 'stop']],
])('bash: %s', async (words, index, expected) => {
  const output = await inShell('bash', ['--norc', '-c'], BASH(words, index));
  expect(output.split('\n').filter(Boolean).sort()).toEqual(expected);
});

test.each([
  ['paster se', ['serve', 'setup-app']],
  ['paster serve --reload-', ['--reload-interval']],
  ['paster serve etc/x.ini rest', ['restart']],
  ['paster export ap', ['apache']],
  ['paster serve etc/x.ini --server-name ', ['live', 'main']],
  ['paster config etc/x.ini -n ', ['main', 'site']],
  ['paster serve etc/x.ini --only ', ['mailer', 'nightly', 'queue', 'web']],
  ['paster serve etc/x.ini --only=m', ['--only=mailer']],
  ['paster serve etc/x.ini --without=web,m', ['--without=web,mailer']],
  ['paster serve etc/x.ini --without=web,queue,', ['--without=web,queue,mailer', '--without=web,queue,nightly']],
  ['paster run etc/x.ini ', ['nightly']],
  ['paster run my\\\\ app.ini ', ['other']],
  ['paster control etc/x.ini stop ', ['mailer', 'queue']],
  ['paster control etc/x.ini st', ['start', 'stop']],
])('fish: %s', async (words, expected) => {
  const output = await inShell('fish', ['--no-config', '-c'], `source ./completion; complete -C '${words}'`);
  const names = output.split('\n').map((line) => line.split('\t')[0] ?? '');
  expect(names.filter((name) => name !== '').sort()).toEqual(expected);
});

test('zsh registers the completion function', async () => {
  const script = 'autoload -Uz compinit; compinit -D -u; source ./completion; print $_comps[paster]';
  const output = await inShell('zsh', ['-fc'], script);
  expect(output).toBe('_paster\n');
});

/** Types each line into an interactive zsh, followed by a tab, and prints the command that zsh then runs. */
const ZSH = (lines: readonly string[]): string => `zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'PS1=; autoload -Uz compinit; compinit -D -u; source ./completion; paster() { print -r -- "<""$*>"; }'
for line in ${lines.map((line) => `'${line}'`).join(' ')}; do
  zpty -w -n z $line$'\\t\\n'
  zpty -r z output '*<[a-z]*>*'
  print -r -- \${\${output##*<}%%>*}
done
zpty -d z`;

test('zsh completes names of sections', async () => {
  const lines = [
    ['serve etc/x.ini --server-name l', 'serve etc/x.ini --server-name live'],
    ['config etc/x.ini -n s', 'config etc/x.ini -n site'],
    ['serve etc/x.ini --only=m', 'serve etc/x.ini --only=mailer'],
    ['serve etc/x.ini --without web,ma', 'serve etc/x.ini --without web,mailer'],
    ['serve etc/x.ini --only=web,mailer,queue,', 'serve etc/x.ini --only=web,mailer,queue,nightly'],
    ['serve etc/x.ini --only queue,mailer,web,', 'serve etc/x.ini --only queue,mailer,web,nightly'],
    ['run etc/x.ini ', 'run etc/x.ini nightly'],
    ['run my\\ app.ini ', 'run my app.ini other'],
    ['run etc/', 'run etc/x.ini'],
    ['control etc/x.ini stop q', 'control etc/x.ini stop queue'],
    ['control etc/x.ini rel', 'control etc/x.ini reload'],
  ];
  const output = await inShell('zsh', ['-fc'], ZSH(lines.map(([typed]) => `paster ${typed}`)));
  expect(
    output
      .split('\n')
      .map((line) => line.trimEnd())
      .filter(Boolean),
  ).toEqual(lines.map(([, completed]) => completed));
});

test('an unknown shell is refused', async () => {
  const { stderr, status } = await runHere(['completion', 'bsh']);
  expect(stderr).toBe('paster: completion: unknown shell "bsh" (did you mean "bash"?)\n');
  expect(status).toBe(2);
});
