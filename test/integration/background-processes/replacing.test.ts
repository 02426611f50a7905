/** `[process:*]`: background processes beside the web workers, and alone. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, isAlive, type Program, paster, requireRoot, serve } from '../../helpers/program.ts';

/** Notes when each of its processes begins and ends, and what it got. */
const MAILER = `import { appendFileSync } from 'node:fs';
const note = (what) => appendFileSync(process.env.NOTES ?? 'notes', what + ' ' + process.pid + '\\n');
export async function run(globalConf, { greeting }, signal) {
  note('begins');
  console.log('mailer says', greeting);
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  note('ends');
}
export const make = (globalConf, { greeting }) => {
  let stop;
  return {
    run: () => new Promise((resolve) => { stop = resolve; note('begins'); console.log('made', greeting); }),
    stop() { note('ends'); stop(); },
  };
};
export const forSignal = () => (signal) => run({}, { greeting: 'signal' }, signal);
export const ready = { run: (signal) => run({}, { greeting: 'ready' }, signal) };
export const crashes = (globalConf, localConf, signal) => new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error('the queue is gone')), 50);
});
`;

const WEB = `[app:main]
use = call:./app.js:makeApp
[server:main]
use = npm:paster#http
port = 0
`;

function project(sections: string, files: Readonly<Record<string, string>> = {}): string {
  return temporaryDirectory({
    'app.js': 'export const makeApp = () => (req, res) => res.end(String(process.pid));\n',
    'mailer.js': MAILER,
    'package.json': '{"type": "module"}',
    'x.ini': sections,
    ...files,
  });
}

const notes = (cwd: string): string[] => {
  const file = join(cwd, 'notes');
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
};

interface Status {
  readonly pid: number;
  readonly workers: readonly { pid: number; state: string }[];
  readonly processes?: readonly { name: string; isStopped: boolean; workers: { pid: number; state: string }[] }[];
}

async function status(cwd: string): Promise<Status> {
  const { stdout, stderr } = await paster(['status', '--json', 'x.ini'], { cwd }).finished();
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout).servers[0];
}

/** The processes of a section that serve. */
async function pids(cwd: string, name: string): Promise<number[]> {
  const { processes = [] } = await status(cwd);
  return (processes.find((each) => each.name === name)?.workers ?? [])
    .filter(({ state }) => state === 'ready')
    .map(({ pid }) => pid);
}

async function serveAlone(cwd: string, args: readonly string[] = []): Promise<Program> {
  const program = paster(['serve', 'x.ini', ...args], { cwd });
  await program.says(/^Starting server in PID \d+\.$/m);
  return program;
}

describe('what a section runs', () => {
  test.each([
    ['an async function with a signal', 'use = call:./mailer.js:run\ngreeting = hello', 'mailer says hello'],
    ['a factory of run and stop', 'use = call:./mailer.js:make\ngreeting = hello', 'made hello'],
    ['a factory of a function with a signal', 'use = call:./mailer.js:forSignal', 'mailer says signal'],
    ['a ready object', 'use = module:./mailer.js#ready', 'mailer says ready'],
    ['paste.process_factory', 'paste.process_factory = ./mailer.js:make\ngreeting = hello', 'made hello'],
  ])('%s', async (_what, section, line) => {
    const cwd = project(`${WEB}[process:mailer]\n${section}\n`);
    const program = await serve(['x.ini'], { cwd });
    await program.says(new RegExp(`^${line}$`, 'm'));
    expect((await program.kill('SIGTERM')).status).toBe(0);
    expect(notes(cwd).map((each) => each.split(' ')[0])).toEqual(['begins', 'ends']);
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

  test('a program with arguments, whose own handler ends it', async () => {
    const cwd = project('[process:jobs]\nuse = program:./jobs.cjs\nargs = --queue "in and out" |\n', {
      'jobs.cjs': `console.log(require.main === module, process.argv.slice(2).join('/'));
const timer = setInterval(() => {}, 1000);
process.on('SIGTERM', () => { console.log('jobs end'); clearInterval(timer); });\n`,
    });
    const program = await serveAlone(cwd);
    await program.says(/^true --queue\/in and out\/\|$/m);
    expect((await program.kill('SIGTERM')).stdout).toMatch(/^jobs end$/m);
  });

  test('a program without a handler for a signal ends at once', async () => {
    const cwd = project('[process:jobs]\nuse = program:./jobs.js\n', {
      'jobs.js': `console.log('jobs run');\nsetInterval(() => {}, 1000);\n`,
    });
    const program = await serveAlone(cwd);
    await program.says(/^jobs run$/m);
    const begun = performance.now();
    await program.kill('SIGTERM');
    // It took graceful_timeout, 30 seconds.
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  test('a program that has nothing left to do is started again', async () => {
    const cwd = project('[process:jobs]\nuse = program:./jobs.js\n', {
      'jobs.js': `import { appendFileSync } from 'node:fs';\nappendFileSync('notes', 'begins 1\\n');\n`,
    });
    await serveAlone(cwd);
    await eventually(() => notes(cwd).length > 2);
  });

  test('a command, quoted as in a shell and without one, ends with what it has started', async () => {
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

  test('a command whose process is killed does not stay behind', async () => {
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

  test('a command gets its stop signal, and is killed after graceful_timeout', async () => {
    const cwd = project(
      `[process:polite]\ncommand = sh -c 'trap "echo goodbye; exit 0" INT; while :; do sleep 0.1; done'\nstop_signal = SIGINT\n` +
        `[process:deaf]\ncommand = sh -c 'trap "" TERM; echo deaf $$; while :; do sleep 0.1; done'\ngraceful_timeout = 0.3\n`,
    );
    const program = await serveAlone(cwd);
    const [, deaf = ''] = await program.says(/^deaf (\d+)$/m);
    const { status: exit, stdout } = await program.kill('SIGTERM');
    expect([exit, stdout.includes('goodbye'), isAlive(Number(deaf))]).toEqual([0, true, false]);
  });

  test('environment, env_file and cwd are its own', async () => {
    const cwd = project(
      `[DEFAULT]\nenvironment = SHARED=yes\n${WEB}set environment = ONLY_WEB=1\n[process:jobs]\ncommand = sh -c 'echo "$SHARED,$ONLY_WEB,$FROM_FILE,$OWN,$NODE_ENV,$(pwd)"'\nenv_file = .env\nset environment = OWN=%(ENV_FROM_FILE)s\ncwd = sub\nstart_seconds = 0\n`,
      { '.env': 'FROM_FILE=file\n', 'sub/x': '' },
    );
    await (await serve(['x.ini'], { cwd })).says(/^yes,,file,file,\w+,.*\/sub$/m);
  });

  test('its output goes to [loggers] with capture_console', async () => {
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
  asRoot('user comes with all groups of that user', async () => {
    const cwd = project(`[process:jobs]\ncommand = sh -c 'echo "who $(id -u) $(id -G)"; sleep 100'\nuser = nobody\n`);
    chmodSync(cwd, 0o755);
    const [, uid, groups = ''] = await (await serveAlone(cwd)).says(/^who (\d+) (.*)$/m);
    expect(uid).toBe('65534');
    expect(groups.split(' ')).not.toContain('0');
  });
});

describe('replacing', () => {
  test('HUP starts the new processes before the old ones end', async () => {
    const cwd = project(`${WEB}[process:mailer]\nuse = call:./mailer.js:run\ninstances = 2\n`);
    const program = await serve(['x.ini'], { cwd });
    const before = await pids(cwd, 'mailer');
    program.child.kill('SIGHUP');
    await program.says(/\[process:mailer\] reloaded/);
    await eventually(() => notes(cwd).filter((line) => line.startsWith('ends')).length === 2);
    expect(notes(cwd).map((line) => line.split(' ')[0])).toEqual([
      'begins',
      'begins',
      'begins',
      'begins',
      'ends',
      'ends',
    ]);
    expect(await pids(cwd, 'mailer')).not.toEqual(before);
  });

  test('an exclusive process never runs twice: HUP, a crash during HUP, replace', async () => {
    const cwd = project(`[process:lock]\nuse = call:./lock.js:run\nexclusive = true\n`, {
      // Each looks whether one of those before it is still there.
      'lock.js': `import { appendFileSync, existsSync, readFileSync } from 'node:fs';
const isAlive = (pid) => { try { return process.kill(pid, 0); } catch { return false; } };
export async function run(globalConf, localConf, signal) {
  const others = existsSync('notes') ? readFileSync('notes', 'utf8').match(/\\d+/g) : [];
  appendFileSync('notes', (others.some(isAlive) ? 'twice ' : 'alone ') + process.pid + '\\n');
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
}\n`,
    });
    const program = await serveAlone(cwd);
    for (let round = 1; round <= 10; round++) {
      program.child.kill('SIGHUP');
      const [pid] = await pids(cwd, 'lock').catch(() => []);
      if (round % 2 === 0 && pid) process.kill(pid, 'SIGKILL');
    }
    await eventually(async () => (await pids(cwd, 'lock')).length === 1);
    const [pid = 0] = await pids(cwd, 'lock');
    const { stdout } = await paster(['control', 'x.ini', 'replace', String(pid)], { cwd }).finished();
    expect(stdout).toMatch(/is replaced by \d+/);
    expect(await pids(cwd, 'lock')).toHaveLength(1);
    await program.kill('SIGTERM');
    expect(notes(cwd).length).toBeGreaterThan(3);
    expect(notes(cwd).filter((line) => line.startsWith('twice'))).toEqual([]);
  });

  test('a version that does not start leaves the old one running', async () => {
    const cwd = project(`${WEB}[process:mailer]\nuse = call:./mailer.js:run\n`);
    const program = await serve(['x.ini'], { cwd });
    const before = await pids(cwd, 'mailer');
    writeFileSync(join(cwd, 'mailer.js'), 'export const run = () => { throw new Error("no queue"); };\n');
    program.child.kill('SIGHUP');
    await program.says(/\[process:mailer\] the new version does not start, the old one keeps running: .*no queue/);
    expect(await pids(cwd, 'mailer')).toEqual(before);
  });

  test('an error in a section keeps the web workers at the old version too', async () => {
    const web = (text: string) =>
      `${text}\n[app:main]\nuse = call:./app.js:makeApp\n[server:main]\nuse = npm:paster#http\nport = 0\nworkers = 1\n`;
    const cwd = project(web('[process:jobs]\ncommand = sleep 1000'), {
      'app.js': `export const makeApp = () => (req, res) => res.end('one');\n`,
    });
    const program = await serve(['x.ini'], { cwd });
    const response = async () => (await fetch(program.url)).text();
    writeFileSync(join(cwd, 'app.js'), `export const makeApp = () => (req, res) => res.end('two');\n`);
    writeFileSync(join(cwd, 'x.ini'), web('[process:jobs]\ncommand = sleep 1000\ninstances = none'));
    program.child.kill('SIGHUP');
    await program.says(/not reloaded, the old version keeps running: x\.ini:3:1: \[process:jobs\] instances/);
    expect(await response()).toBe('one');
    writeFileSync(join(cwd, 'x.ini'), web('[process:jobs]\ncommand = sleep 1000\ninstances = 2'));
    program.child.kill('SIGHUP');
    await eventually(async () => (await response()) === 'two');
  });

  describe('HUP replaces the web workers and the processes, or none of them', () => {
    const app = (version: string) => `export const makeApp = () => (req, res) => res.end('${version}');\n`;
    const ini = (sections: string) => WEB.replace('port = 0', 'port = 0\nworkers = 2') + sections;
    const MAIL = '[process:mailer]\nuse = call:./mailer.js:run\n';
    const OTHER = '[process:other]\nuse = call:./other.js:run\n';
    const BROKEN = 'export const run = () => { throw new Error("no queue"); };\n';

    async function serveBoth(sections: string) {
      const cwd = project(ini(sections), { 'app.js': app('one'), 'other.js': MAILER });
      const program = await serve(['x.ini'], { cwd });
      writeFileSync(join(cwd, 'app.js'), app('two'));
      return { cwd, program, response: async () => (await fetch(program.url)).text() };
    }

    test.each([
      ['a process', MAIL + OTHER, MAIL + OTHER],
      ['a process of a new section', MAIL, MAIL + OTHER],
    ])('%s does not start', async (_what, before, after) => {
      const { cwd, program, response } = await serveBoth(before);
      const mailer = await pids(cwd, 'mailer');
      writeFileSync(join(cwd, 'other.js'), BROKEN);
      writeFileSync(join(cwd, 'x.ini'), ini(after));
      const failing = paster(['control', 'x.ini', 'reload'], { cwd }).finished();
      while (await Promise.race([failing.then(() => false), response().then(() => true)])) {
        // Old and new workers respond until the process has failed.
      }
      const { status, stderr } = await failing;
      expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(/not reloaded: .*no queue/) });
      await program.says(/: \[process:other\] has not been reloaded/);
      expect(await pids(cwd, 'mailer')).toEqual(mailer);
      for (let round = 0; round < 10; round++) expect(await response()).toBe('one');
      writeFileSync(join(cwd, 'other.js'), MAILER);
      program.child.kill('SIGHUP');
      await eventually(async () => (await response()) === 'two');
      await eventually(async () => (await pids(cwd, 'other')).length === 1);
    });

    test('an exclusive process follows the others', async () => {
      const { cwd, program, response } = await serveBoth(`${OTHER}exclusive = true\n`);
      writeFileSync(join(cwd, 'other.js'), BROKEN);
      program.child.kill('SIGHUP');
      await program.says(/\[process:other\] the new version does not start, and the old one has ended: .*no queue/);
      for (let round = 0; round < 10; round++) expect(await response()).toBe('two');
    });

    test('a newer HUP is done instead of one that waits for a process', async () => {
      const { cwd, program, response } = await serveBoth(OTHER);
      writeFileSync(join(cwd, 'other.js'), 'await new Promise((resolve) => setTimeout(resolve, 1e9));\n');
      program.child.kill('SIGHUP');
      await program.says(/\[process:other\] reloading/);
      writeFileSync(join(cwd, 'other.js'), MAILER);
      program.child.kill('SIGHUP');
      await eventually(async () => (await response()) === 'two');
      await program.says(/\[process:other\] reloaded/);
    });
  });

  test('HUP starts new sections and ends removed ones', async () => {
    const cwd = project('[process:one]\nuse = call:./mailer.js:run\ngreeting = one\n');
    const program = await serveAlone(cwd);
    const [pid = 0] = await pids(cwd, 'one');
    writeFileSync(join(cwd, 'x.ini'), '[process:two]\nuse = call:./mailer.js:run\ngreeting = two\n');
    program.child.kill('SIGHUP');
    await program.says(/^mailer says two$/m);
    await eventually(() => !isAlive(pid));
    expect((await status(cwd)).processes?.map(({ name }) => name)).toEqual(['two']);
  });

  test('serve --reload replaces only the process whose code was saved', async () => {
    const cwd = project(`[process:mailer]\nuse = call:./mailer.js:run\n[process:other]\nuse = call:./other.js:run\n`, {
      'other.js':
        'export const run = (g, l, signal) => new Promise((resolve) => signal.addEventListener("abort", resolve));\n',
    });
    const program = await serveAlone(cwd, ['--reload']);
    const other = await pids(cwd, 'other');
    writeFileSync(join(cwd, 'mailer.js'), MAILER.replace('mailer says', 'now says'));
    await program.says(/^now says/m);
    expect(await pids(cwd, 'other')).toEqual(other);
  });

  test('an error of the process is logged with its place, and the process starts again later each time', async () => {
    const cwd = project(`${WEB}[process:mailer]\nuse = call:./mailer.js:crashes\n`);
    const program = await serve(['x.ini'], { cwd });
    await program.says(/\[process:mailer\] worker \d+ ended with status 1: .*mailer\.js:\d+:\d+: the queue is gone/);
    await eventually(async () =>
      /restarted: [2-9] crash/.test((await paster(['status', 'x.ini'], { cwd }).finished()).stdout),
    );
  });

  test('max_memory counts the children of a command', async () => {
    const cwd = project(
      `[process:jobs]\ncommand = ${process.execPath} -e 'globalThis.x = Buffer.alloc(300e6, 1); setInterval(() => {}, 1000); console.log("large")'\nmax_memory = 200\n`,
    );
    await (await serveAlone(cwd)).says(/\[process:jobs\] worker \d+ uses \d+ MiB of memory and is replaced/);
  });
});

describe('what is started', () => {
  const BOTH = `${WEB}[process:mailer]\nuse = call:./mailer.js:run\n[process:jobs]\ncommand = sleep 100\n`;
  const names = async (cwd: string) => {
    const { workers, processes = [] } = await status(cwd);
    return [...(workers.length > 0 ? ['web'] : []), ...processes.map(({ name }) => name)].sort();
  };

  test.each([
    [[], ['jobs', 'mailer', 'web']],
    [['--only', 'mailer'], ['mailer']],
    [['--only', 'web'], ['web']],
    [
      ['--only', 'web,mailer'],
      ['mailer', 'web'],
    ],
    [['--without', 'mailer,web'], ['jobs']],
  ])('serve %j', async (args, expected) => {
    const cwd = project(BOTH);
    const program = paster(['serve', 'x.ini', ...args], { cwd });
    await program.says(/^Starting server in PID \d+\.$/m);
    await eventually(async () => (await names(cwd).catch(() => [])).length > 0);
    expect(await names(cwd)).toEqual(expected);
    expect(program.stdout.includes('serving on')).toBe(expected.includes('web'));
  });

  test.each([
    [
      ['--only', 'mialer'],
      /--only: there is no section \[process:mialer\] or \[task:mialer\] \(did you mean "mailer"\?\)/,
    ],
    [['--only', 'web', '--without', 'web'], /--only and --without leave nothing to run/],
    [['--only', ','], /--only: it names no section/],
  ])('serve %j is an error', async (args, message) => {
    const finished = await paster(['serve', 'x.ini', ...args], { cwd: project(BOTH) }).finished();
    expect(finished).toMatchObject({ status: 2, stderr: expect.stringMatching(message) });
  });

  test('an error at the start ends everything', async () => {
    const cwd = project(`${WEB}[process:jobs]\ncommand = no-such-program\n`);
    const finished = await paster(['serve', 'x.ini'], { cwd }).finished();
    expect(finished.status).not.toBe(0);
    expect(finished.stderr).toMatch(
      /x\.ini:\d+:\d+: \[process:jobs\] .*cannot start no-such-program: there is no such program/,
    );
  });
});

test('control stops and starts a section, which HUP leaves as it is', async () => {
  const cwd = project(`${WEB}[process:mailer]\nuse = call:./mailer.js:run\n`);
  const program = await serve(['x.ini'], { cwd });
  const control = async (...args: string[]) => (await paster(['control', 'x.ini', ...args], { cwd }).finished()).stdout;
  expect(await control('stop', 'mailer')).toBe('process mailer is stopped\n');
  program.child.kill('SIGHUP');
  await program.says(/^reloaded$/m);
  expect((await paster(['status', 'x.ini'], { cwd }).finished()).stdout).toMatch(/^process mailer: stopped/m);
  expect(await control('start', 'mailer')).toBe('process mailer runs\n');
  expect(await pids(cwd, 'mailer')).toHaveLength(1);
  const wrong = await paster(['control', 'x.ini', 'stop', 'mialer'], { cwd }).finished();
  expect(wrong.stderr).toMatch(/there is no process "mialer" in server \d+ \(there are: mailer\)/);
});

test('a process ends when its supervisor is killed', async () => {
  const cwd = project(`[process:jobs]\ncommand = sh -c 'echo child $$; while :; do sleep 1; done'\n`);
  const program = await serveAlone(cwd);
  const [, child = ''] = await program.says(/^child (\d+)$/m);
  program.child.kill('SIGKILL');
  await eventually(() => !isAlive(Number(child)));
});
