/** What a `[process:*]` section runs, with its own environment, output and user. */
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runHere } from '../../helpers/programs/command.ts';
import { eventually, freePort, isAlive, requireRoot, serve } from '../../helpers/programs/program.ts';
import { MAILER, notes, pids, project, serveAlone, WEB } from './project.ts';

describe('a section runs', () => {
  test('functions, factories and objects, each until it is told to end', async () => {
    const sections: readonly (readonly [section: string, line: string])[] = [
      // An async function with a signal.
      ['use = call:./mailer.js:run\ngreeting = hello', 'mailer says hello'],
      // A factory of run and stop, and one of a function with a signal.
      ['use = call:./mailer.js:make\ngreeting = hello', 'made hello'],
      ['use = call:./mailer.js:forSignal', 'mailer says signal'],
      ['use = module:./mailer.js#ready', 'mailer says ready'],
      ['paste.process_factory = ./mailer.js:make\ngreeting = again', 'made again'],
    ];
    const cwd = project(WEB + sections.map(([section], index) => `[process:p${index}]\n${section}\n`).join(''));
    const program = await serve(['x.ini'], { cwd });
    for (const [, line] of sections) await program.says(new RegExp(`^${line}$`, 'm'));
    expect((await program.kill('SIGTERM')).status).toBe(0);
    const noted = notes(cwd).map((each) => each.split(' '));
    for (const pid of new Set(noted.map(([, each]) => each))) {
      expect(noted.filter((each) => each[1] === pid).map(([what]) => what)).toEqual(['begins', 'ends']);
    }
    expect(noted).toHaveLength(2 * sections.length);
  });

  test('an entry point of a package', async () => {
    const cwd = project(`[process:mail]\nuse = npm:queue#mail\ngreeting = packed\n`, {
      'node_modules/queue/package.json': JSON.stringify({
        name: 'queue',
        type: 'module',
        paster: { 'paste.process_factory': { mail: './mailer.js:make' } },
      }),
      'node_modules/queue/mailer.js': MAILER,
    });
    await (await serveAlone(cwd)).says(/^made packed$/m);
  });

  test('a program with arguments, and its own handler ends it', async () => {
    const cwd = project('[process:jobs]\nuse = program:./jobs.cjs\nargs = --queue "in and out" |\n', {
      'jobs.cjs': `console.log(require.main === module, process.argv.slice(2).join('/'));
const timer = setInterval(() => {}, 1000);
process.on('SIGTERM', () => { console.log('jobs end'); clearInterval(timer); });\n`,
    });
    const program = await serveAlone(cwd);
    await program.says(/^true --queue\/in and out\/\|$/m);
    expect((await program.kill('SIGTERM')).stdout).toMatch(/^jobs end$/m);
  });

  test('a program whose handler only sets a flag, and lets it finish its job', async () => {
    const cwd = project('[process:jobs]\nuse = program:./jobs.js\n', {
      'jobs.js': `import { setTimeout as sleep } from 'node:timers/promises';
let ends = false;
process.on('SIGTERM', () => { ends = true; });
while (!ends) {
  console.log('a job begins');
  await sleep(2500);
}
console.log('the last job has ended');\n`,
    });
    const program = await serveAlone(cwd);
    await program.says(/^a job begins$/m);
    expect((await program.kill('SIGTERM')).stdout).toMatch(/^the last job has ended$/m);
  });

  test('a program without a handler for a signal, which ends at once', async () => {
    const cwd = project('[process:jobs]\nuse = program:./jobs.js\n', {
      'jobs.js': `console.log('jobs run');\nsetInterval(() => {}, 1000);\n`,
    });
    const program = await serveAlone(cwd);
    await program.says(/^jobs run$/m);
    const begun = performance.now();
    await program.kill('SIGTERM');
    // Otherwise it would take graceful_timeout, 30 seconds.
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  test('a program again that has nothing left to do', async () => {
    const cwd = project('[process:jobs]\nuse = program:./jobs.js\n', {
      'jobs.js': `import { appendFileSync } from 'node:fs';\nappendFileSync('notes', 'begins 1\\n');\n`,
    });
    const program = await serveAlone(cwd);
    await eventually(() => notes(cwd).length > 2);
    await program.says(
      /ended with status 0: it is started again \(code that ends by itself belongs in a \[task:\.\.\.\] section\)/,
    );
  });

  /** The name must be resolved first, so the error is late. */
  const CHAT = `import { createServer } from 'node:net';
const listen = () => createServer().listen(process.env.CHAT_PORT, 'localhost', () => console.log('chat listens'));
`;

  test.each([
    ['a program', 'use = program:./chat.js'],
    ['a function', 'use = call:./run.js:run'],
    ['a command', `command = ${process.execPath} chat.js`],
  ])('%s, which keeps running if its successor cannot listen, and the hint names exclusive', async (_what, section) => {
    const cwd = project(`[process:chat]\n${section}\nenvironment = CHAT_PORT=${await freePort()}\n`, {
      'chat.js': `${CHAT}listen();\n`,
      'run.js': `${CHAT}export const run = async (globalConf, localConf, signal) => {
  listen();
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
};\n`,
    });
    const program = await serveAlone(cwd);
    await program.says(/^chat listens$/m);
    const before = await pids(cwd, 'chat');
    const { stderr } = await runHere(['control', 'x.ini', 'reload'], { cwd });
    expect(stderr).toMatch(/not reloaded: .*in use.* \(set exclusive = true: the old process then ends first\)/);
    expect(await pids(cwd, 'chat')).toEqual(before);
  });

  test('a command, quoted as in a shell but without one, which ends with its children', async () => {
    const cwd = project(
      `[process:jobs]\ncommand = sh -c 'echo "$0 $1"; sleep 1000 & echo child $!; wait' 'a b' "c*"\n`,
    );
    const program = await serveAlone(cwd);
    await program.says(/^a b c\*$/m);
    const [, child = ''] = await program.says(/^child (\d+)$/m);
    expect(isAlive(Number(child))).toBe(true);
    await program.kill('SIGTERM');
    await eventually(() => !isAlive(Number(child)));
  });

  test('a command, which does not stay behind if its process is killed', async () => {
    const cwd = project(
      `[process:jobs]\ncommand = sh -c 'echo child $$; while :; do sleep 1; done'\nexclusive = true\n`,
    );
    const program = await serveAlone(cwd);
    const [, child = ''] = await program.says(/^child (\d+)$/m);
    const [pid = 0] = await pids(cwd, 'jobs');
    process.kill(pid, 'SIGKILL');
    await program.says(/child \d+\n[\s\S]*child \d+\n/);
    expect(isAlive(Number(child))).toBe(false);
  });

  test('a shell whose children get the stop signal too, and are killed after graceful_timeout', async () => {
    const job = (name: string, atTerm: string) =>
      `sh -c '${process.execPath} job.cjs ${name} ${atTerm}; echo next job'\ngraceful_timeout = 1\n`;
    const cwd = project(
      `[process:polite]\ncommand = ${job('polite', 'finishes')}[process:deaf]\ncommand = ${job('deaf', 'continues')}`,
      {
        'job.cjs': `const [, , name, atTerm] = process.argv;
process.on('SIGTERM', () => atTerm === 'finishes' && setTimeout(() => { console.log(name + ' finished'); process.exit(); }, 200));
setInterval(() => {}, 1000);
console.log(name, process.pid);\n`,
      },
    );
    const program = await serveAlone(cwd);
    const [, polite = ''] = await program.says(/^polite (\d+)$/m);
    const [, deaf = ''] = await program.says(/^deaf (\d+)$/m);
    const { stdout, stderr } = await program.kill('SIGTERM');
    expect([stdout.includes('polite finished'), stdout.includes('next job')]).toEqual([true, false]);
    expect([isAlive(Number(polite)), isAlive(Number(deaf))]).toEqual([false, false]);
    expect(stderr.match(/^.* is killed: /gm)).toEqual([expect.stringContaining('[process:deaf]')]);
  });

  test('a command, which gets its stop signal, and is killed after graceful_timeout', async () => {
    const cwd = project(
      `[process:polite]\ncommand = sh -c 'trap "echo goodbye; exit 0" INT; while :; do sleep 0.1; done'\nstop_signal = SIGINT\n` +
        `[process:deaf]\ncommand = sh -c 'trap "" TERM; echo deaf $$; while :; do sleep 0.1; done'\ngraceful_timeout = 0.3\n`,
    );
    const program = await serveAlone(cwd);
    const [, deaf = ''] = await program.says(/^deaf (\d+)$/m);
    const { status: exit, stdout, stderr } = await program.kill('SIGTERM');
    expect([exit, stdout.includes('goodbye'), isAlive(Number(deaf))]).toEqual([0, true, false]);
    expect(stderr.match(/^.* is killed: .*$/gm)).toEqual([
      expect.stringMatching(/\[process:deaf\] worker \d+ is killed: it did not end within graceful_timeout \(0\.3 s\)/),
    ]);
  });

  test('with its own environment, env_file and cwd', async () => {
    const cwd = project(
      `[DEFAULT]\nenvironment = SHARED=yes\n${WEB}set environment = ONLY_WEB=1\n[process:jobs]\ncommand = sh -c 'echo "$SHARED,$ONLY_WEB,$FROM_FILE,$OWN,$NODE_ENV,$(pwd)"'\nenv_file = .env\nset environment = OWN=%(ENV_FROM_FILE)s\ncwd = sub\nstart_seconds = 0\n`,
      { '.env': 'FROM_FILE=file\n', 'sub/x': '' },
    );
    await (await serve(['x.ini'], { cwd })).says(/^yes,,file,file,\w+,.*\/sub$/m);
  });

  test('with its output in [loggers] if it has capture_console', async () => {
    const cwd = project(
      `[process:jobs]\ncommand = sh -c 'echo out; echo err >&2; sleep 100'\n[process:mailer]\nuse = call:./mailer.js:run\ngreeting = hi\n` +
        `[loggers]\nkeys = root\ncapture_console = true\n[handlers]\nkeys = file\n[formatters]\nkeys = plain\n` +
        `[logger_root]\nlevel = INFO\nhandlers = file\n[handler_file]\nclass = FileHandler\nargs = ('log',)\nformatter = plain\n[formatter_plain]\nformat = %(name)s %(levelname)s %(message)s\n`,
    );
    await serveAlone(cwd);
    await eventually(() => {
      const log = readFileSync(join(cwd, 'log'), 'utf8').split('\n');
      return ['console INFO out', 'console ERROR err', 'console INFO mailer says hi'].every((line) =>
        log.includes(line),
      );
    });
  });

  const asRoot = test.skipIf(!requireRoot());
  asRoot('user comes with the groups of that user, without those of root', async () => {
    const cwd = project(`[process:jobs]\ncommand = sh -c 'echo "who $(id -u) $(id -G)"; sleep 100'\nuser = nobody\n`);
    chmodSync(cwd, 0o755);
    const [, uid, groups = ''] = await (await serveAlone(cwd)).says(/^who (\d+) (.*)$/m);
    expect(uid).toBe('65534');
    expect(groups.split(' ')).not.toContain('0');
  });
});
