/** How background processes are replaced: at HUP, with `--reload`, after an error, and because of their memory. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runHere } from '../../helpers/programs/command.ts';
import { eventually, isAlive, paster, serve } from '../../helpers/programs/program.ts';
import { askForStart } from '../../helpers/requests/ask.ts';
import { MAILER, notes, pids, project, serveAlone, statusOf, WEB } from './project.ts';

describe('replacing', () => {
  test('HUP starts the new processes before the old ones end', async () => {
    const cwd = project(`${WEB}[process:mailer]\nuse = call:./mailer.js:run\ninstances = 2\n`);
    const program = await serve(['x.ini'], { cwd });
    const before = await pids(cwd, 'mailer');
    const { stderr } = await runHere(['control', 'x.ini', 'replace', '1'], { cwd });
    expect(stderr).toMatch(
      new RegExp(`^paster: process 1 is not a process of server \\d+ \\(processes: \\d+, ${before.join(', ')}\\)\n$`),
    );
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

  test('an exclusive process never runs twice: at HUP, at a crash during HUP, at replace', async () => {
    const cwd = project(`[process:lock]\nuse = call:./lock.js:run\nexclusive = true\n`, {
      // Each process checks whether one of its predecessors is still running.
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
      const before = notes(cwd).length;
      program.child.kill('SIGHUP');
      const [pid] = await pids(cwd, 'lock').catch(() => []);
      if (round % 2 === 0 && pid) process.kill(pid, 'SIGKILL');
      else await eventually(() => notes(cwd).length > before);
    }
    await eventually(async () => (await pids(cwd, 'lock')).length === 1);
    const [pid = 0] = await pids(cwd, 'lock');
    const { stdout } = await runHere(['control', 'x.ini', 'replace', String(pid)], { cwd });
    expect(stdout).toBe(`process ${pid} is replaced by ${(await pids(cwd, 'lock')).join()}\n`);
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

  test('a new version that never starts is reported with its section', async () => {
    const cwd = project('[process:mailer]\nuse = call:./mailer.js:run\n');
    const program = await serveAlone(cwd);
    const section = '[process:mailer]\nuse = call:./mailer.js:make\nstart_timeout = 2\n';
    writeFileSync(join(cwd, 'x.ini'), section);
    const WAITS = 'new Promise(() => setInterval(() => {}, 1000))';
    const named = 'x\\.ini:1:1: \\[process:mailer\\] call:\\./mailer\\.js:make';
    for (const [source, problem] of [
      [`await ${WAITS};`, named],
      [`export const make = () => ${WAITS};`, named],
      ['for (;;);', 'the process'],
    ]) {
      writeFileSync(join(cwd, 'mailer.js'), `${source}\n`);
      const { stderr } = await runHere(['control', 'x.ini', 'reload'], { cwd });
      expect(stderr).toMatch(new RegExp(`${problem} was not ready within 2 s \\(.*start_timeout`));
    }
    expect(program.output).toMatch(/^paster: error: \[process:mailer\] the new version does not start/m);
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
    /** Loads until `notes` tells it to continue, and then fails. */
    const FAILING_LATER = `import { appendFileSync, readFileSync } from 'node:fs';
appendFileSync('notes', 'loads\\n');
while (!readFileSync('notes', 'utf8').includes('fail')) await new Promise((resolve) => setTimeout(resolve, 20));
throw new Error('no queue');
`;
    /** Responds to /held with a word at once, and with the rest when `notes` tells it to. */
    const HOLDING = `import { readFileSync } from 'node:fs';
export const makeApp = () => async (req, res) => {
  if (req.url !== '/held') return res.end('two');
  res.write('two');
  while (!readFileSync('notes', 'utf8').includes('go')) await new Promise((resolve) => setTimeout(resolve, 20));
  res.end(' and all');
};
`;

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
      const failing = runHere(['control', 'x.ini', 'reload'], { cwd });
      while (await Promise.race([failing.then(() => false), response().then(() => true)])) {
        // Old and new workers respond until the process has failed.
        await sleep(5);
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

    test('unless the process is exclusive, because it is replaced last', async () => {
      const { cwd, program, response } = await serveBoth(`${OTHER}exclusive = true\n`);
      writeFileSync(join(cwd, 'other.js'), BROKEN);
      program.child.kill('SIGHUP');
      await program.says(/\[process:other\] the new version does not start, and the old one has ended: .*no queue/);
      for (let round = 0; round < 10; round++) expect(await response()).toBe('two');
    });

    test.each([
      ['a process', OTHER],
      ['a process of a new section', ''],
    ])('a newer HUP interrupts one that waits for %s', async (_what, before) => {
      const { cwd, program, response } = await serveBoth(before);
      writeFileSync(join(cwd, 'x.ini'), ini(OTHER));
      writeFileSync(join(cwd, 'other.js'), FAILING_LATER);
      program.child.kill('SIGHUP');
      await eventually(() => notes(cwd).includes('loads'));
      writeFileSync(join(cwd, 'other.js'), MAILER);
      program.child.kill('SIGHUP');
      await eventually(async () => (await response()) === 'two');
      await eventually(async () => (await pids(cwd, 'other')).length === 1);
      expect(program.output).not.toContain('does not start');
    });

    test('HUPs that arrive faster than a reload do not prevent it from finishing', async () => {
      const { cwd, program, response } = await serveBoth(OTHER);
      writeFileSync(join(cwd, 'app.js'), `await new Promise((resolve) => setTimeout(resolve, 500));\n${app('two')}`);
      const timer = setInterval(() => program.child.kill('SIGHUP'), 100);
      onTestFinished(() => clearInterval(timer));
      await eventually(async () => (await response()) === 'two');
      clearInterval(timer);
      const reloads = ['one', 'two', 'three'].map(() => paster(['control', 'x.ini', 'reload'], { cwd }).finished());
      expect((await Promise.all(reloads)).map(({ stderr }) => stderr)).toEqual(['', '', '']);
    });

    test.each([
      ['a process', OTHER],
      ['a process of a new section', ''],
    ])('%s that is stopped meanwhile does not prevent the others from being replaced', async (_what, before) => {
      const { cwd, program, response } = await serveBoth(before + MAIL);
      writeFileSync(join(cwd, 'x.ini'), ini(OTHER + MAIL));
      writeFileSync(join(cwd, 'other.js'), FAILING_LATER);
      const reloading = paster(['control', 'x.ini', 'reload'], { cwd }).finished();
      await eventually(() => notes(cwd).includes('loads'));
      expect((await runHere(['control', 'x.ini', 'stop', 'other'], { cwd })).status).toBe(0);
      expect((await reloading).stderr).toBe('');
      expect(await response()).toBe('two');
      const { processes = [] } = await statusOf(cwd);
      expect(processes.map(({ name, isStopped, workers }) => [name, isStopped, workers.length])).toEqual(
        expect.arrayContaining([['other', true, 0]]),
      );
      expect(program.output).not.toContain('does not start');
    });

    test('the new workers finish their requests if a process does not start', async () => {
      const { cwd, program } = await serveBoth(OTHER);
      writeFileSync(join(cwd, 'app.js'), HOLDING);
      writeFileSync(join(cwd, 'other.js'), FAILING_LATER);
      program.child.kill('SIGHUP');
      const held = await eventually(async () => {
        const request = await askForStart(program.url, '/held');
        return request.first === 'two' && request;
      });
      appendFileSync(join(cwd, 'notes'), 'fail\n');
      await program.says(/: \[process:other\] has not been reloaded/);
      // A worker that is stopped without graceful_timeout is killed after 2 s.
      await sleep(2500);
      appendFileSync(join(cwd, 'notes'), 'go\n');
      expect(await held.rest).toBe('two and all');
    });

    test('with reload_exclusive, an error in the section of the server keeps the processes too', async () => {
      const exclusive = (settings = '') =>
        `${ini(MAIL)}`.replace('port = 0', `port = 0\nreload_exclusive = true\n${settings}`);
      const cwd = project(exclusive(), { 'app.js': app('one') });
      const program = await serve(['x.ini'], { cwd });
      const mailer = await pids(cwd, 'mailer');
      writeFileSync(join(cwd, 'x.ini'), exclusive('max_requests = many\n'));
      const { status, stderr } = await runHere(['control', 'x.ini', 'reload'], { cwd });
      expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(/max_requests: "many" is not/) });
      expect(await pids(cwd, 'mailer')).toEqual(mailer);
      writeFileSync(join(cwd, 'app.js'), app('two'));
      writeFileSync(join(cwd, 'x.ini'), exclusive());
      program.child.kill('SIGHUP');
      await eventually(async () => (await (await fetch(program.url)).text()) === 'two');
      await eventually(async () => (await pids(cwd, 'mailer'))[0] !== mailer[0]);
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
    expect((await statusOf(cwd)).processes?.map(({ name }) => name)).toEqual(['two']);
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
    writeFileSync(join(cwd, 'mailer.js'), 'export const run = (;\n');
    await program.says(/\[process:mailer\] mailer\.js:1:\d+: SyntaxError/);
  });

  test('an error of the process is logged with its place, and the process starts again, after a longer pause each time', async () => {
    const cwd = project(`${WEB}[process:mailer]\nuse = call:./mailer.js:crashes\n`);
    const program = await serve(['x.ini'], { cwd });
    await program.says(/\[process:mailer\] worker \d+ ended with status 1: .*mailer\.js:\d+:\d+: the queue is gone/);
    await eventually(async () => /restarted: [2-9] crash/.test((await runHere(['status', 'x.ini'], { cwd })).stdout));
  });

  test('max_memory counts the children of a command', async () => {
    const cwd = project(
      `[process:jobs]\ncommand = ${process.execPath} -e 'globalThis.x = Buffer.alloc(300e6, 1); setInterval(() => {}, 1000); console.log("large")'\nmax_memory = 200\n`,
    );
    await (await serveAlone(cwd)).says(/\[process:jobs\] worker \d+ uses \d+ MiB of memory and is replaced/);
  });
});
