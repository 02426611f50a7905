/** `[task:*]`: scheduled tasks next to the web workers, and `paster run`. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { eventually, isAlive, type Program, paster, serve } from '../../helpers/programs/program.ts';

const TASKS = `import { appendFileSync } from 'node:fs';
const note = (what) => appendFileSync('notes', what + '\\n');
export const due = () => note(process.env.PASTER_TASK_DUE);
export const late = () => note(Date.now() - Date.parse(process.env.PASTER_TASK_DUE));
export const fails = async () => { throw new Error('no disk'); };
export const never = () => new Promise(() => setInterval(() => {}, 1000));
export const forever = (globalConf, localConf, signal) => new Promise((resolve) => {
  note('begins ' + process.pid);
  const timer = setInterval(() => {}, 1000);
  signal.addEventListener('abort', () => { note('ends ' + process.pid); clearInterval(timer); resolve(); });
});
`;

const WEB = `[app:main]
use = call:./app.js:makeApp
[server:main]
use = npm:paster#http
port = 0
`;

const EACH_SECOND = 'schedule = * * * * * *';
const NEVER = 'schedule = 0 0 1 1 *';

function project(sections: string): string {
  return temporaryDirectory({
    'app.js': `import { appendFileSync } from 'node:fs';
export const makeApp = () => (req, res) => {
  appendFileSync('notes', req.method + ' ' + req.url + '\\n');
  res.statusCode = req.url === '/bad' ? 500 : 200;
  res.end();
};\n`,
    'tasks.js': TASKS,
    'package.json': '{"type": "module"}',
    'x.ini': sections,
  });
}

function notes(cwd: string): string[] {
  const file = join(cwd, 'notes');
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
}

interface Task {
  readonly name: string;
  readonly next: number;
  readonly running?: number;
  readonly last?: { readonly result: string; readonly text?: string; readonly seconds: number };
  readonly runs: Readonly<Record<string, number>>;
}

async function task(cwd: string): Promise<Task | undefined> {
  const { stdout } = await runHere(['status', '--json', 'x.ini'], { cwd });
  return stdout === '' ? undefined : JSON.parse(stdout).servers[0].tasks?.[0];
}

async function serveTasks(cwd: string): Promise<Program> {
  const program = paster(['serve', 'x.ini'], { cwd });
  await program.says(/^Starting server in PID \d+\.$/m);
  return program;
}

const run = (cwd: string, name: string) => paster(['run', 'x.ini', name], { cwd }).finished();

test('100 HUPs neither lose nor repeat a run of a task that is due each second', async () => {
  const cwd = project(`[task:tick]\n${EACH_SECOND}\noverlap = queue\nuse = call:./tasks.js:due\n`);
  const program = await serveTasks(cwd);
  for (let sent = 0; sent < 100; sent++) {
    program.child.kill('SIGHUP');
    const before = notes(cwd).length;
    // Some of them arrive during a run.
    if (sent % 20 === 0) await eventually(() => notes(cwd).length > before);
    else await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await eventually(() => notes(cwd).length >= 8);
  const times = notes(cwd).map((each) => Date.parse(each) / 1000);
  const [first = 0] = times;
  expect(times).toEqual(times.map((_time, index) => first + index));
});

test('three upgrades neither lose nor repeat a run of a task that is due each second', async () => {
  const cwd = project(`${WEB}workers = 1\n[task:tick]\n${EACH_SECOND}\noverlap = queue\nuse = call:./tasks.js:due\n`);
  await serve(['x.ini'], { cwd });
  await eventually(() => notes(cwd).length >= 1);
  for (let count = 0; count < 3; count++) {
    expect((await paster(['upgrade', 'x.ini'], { cwd }).finished()).status).toBe(0);
  }
  const before = notes(cwd).length;
  const seconds = () => Array.from(notes(cwd), (each) => Date.parse(each) / 1000).sort((one, other) => one - other);
  const areConsecutive = ([first = 0, ...rest]: number[]) => rest.every((time, i) => time === first + i + 1);
  // On a busy machine, runs of an old process still wait in its queue.
  await eventually(() => notes(cwd).length >= before + 3 && areConsecutive(seconds()));
  expect((await runHere(['control', 'x.ini', 'stop'], { cwd })).status).toBe(0);
  expect(seconds()).toSatisfy(areConsecutive);
});

test('after an upgrade, status shows the last run, even of the old process that ends later', async () => {
  const section = (schedule: string) =>
    `${WEB}[task:long]\n${schedule}\ncommand = sh -c 'echo begun >> notes; until [ -e go ]; do sleep 0.05; done; exit 3'\n`;
  const cwd = project(section(EACH_SECOND));
  await serve(['x.ini'], { cwd });
  await eventually(() => notes(cwd).length > 0);
  writeFileSync(join(cwd, 'x.ini'), section(NEVER));
  expect((await paster(['upgrade', 'x.ini'], { cwd }).finished()).status).toBe(0);
  writeFileSync(join(cwd, 'go'), '');
  const { last, runs } = await eventually(async () => {
    const found = await task(cwd);
    return found?.last && found;
  });
  expect([last?.result, last?.text, runs['failed']]).toEqual(['failed', expect.stringContaining('status 3'), 0]);
  expect((await paster(['upgrade', 'x.ini'], { cwd }).finished()).status).toBe(0);
  const { stdout } = await runHere(['status', 'x.ini'], { cwd });
  expect(stdout).toMatch(/^task long: last failed after .* s at .* status 3, next at /m);
});

test('a task runs once however many web workers there are', async () => {
  const cwd = project(`${WEB}workers = 2\n[task:tick]\n${EACH_SECOND}\nuse = call:./tasks.js:due\n`);
  await serve(['x.ini'], { cwd });
  await eventually(() => notes(cwd).length >= 2);
  expect(new Set(notes(cwd)).size).toBe(notes(cwd).length);
});

describe('overlap', () => {
  test('skip: a run that is due during another one is dropped', async () => {
    const cwd = project(`[task:long]\n${EACH_SECOND}\nuse = call:./tasks.js:forever\n`);
    const program = await serveTasks(cwd);
    await program.says(/\[task:long\] process \d+ is still running: this run is skipped/);
    // On a busy machine, the first run may still be starting.
    await eventually(() => notes(cwd).length > 0);
    expect(notes(cwd)).toHaveLength(1);
    expect((await task(cwd))?.running).toBe(Number(notes(cwd)[0]?.split(' ')[1]));
  });

  test('kill: the older run is stopped first', async () => {
    const cwd = project(`[task:long]\n${EACH_SECOND}\noverlap = kill\nuse = call:./tasks.js:forever\n`);
    await serveTasks(cwd);
    await eventually(() => notes(cwd).length >= 3);
    expect(
      notes(cwd)
        .slice(0, 3)
        .map((each) => each.split(' ')[0]),
    ).toEqual(['begins', 'ends', 'begins']);
  });
});

test('jitter: each run starts later by a random time, up to the limit', async () => {
  const cwd = project(`[task:tick]\n${EACH_SECOND}\njitter = 2\noverlap = queue\nuse = call:./tasks.js:late\n`);
  await serveTasks(cwd);
  await eventually(() => notes(cwd).length >= 6);
  const delays = notes(cwd).slice(0, 6).map(Number);
  // A process takes time to start, runs wait for each other, and 7 s have been seen on a busy machine.
  expect(Math.max(...delays)).toBeLessThan(2000 + 12_000);
  expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(200);
});

test('timezone: the schedule uses the time zone', async () => {
  // 14 hours ahead of UTC, without daylight saving time.
  const [zone, offset] = ['Pacific/Kiritimati', 14];
  const hour = (new Date().getUTCHours() + offset) % 24;
  const section = (name: string, hours: string) =>
    `[task:${name}]\nschedule = * * ${hours} * * *\ntimezone = ${zone}\nuse = call:./tasks.js:due\n`;
  const cwd = project(section('tick', `${hour},${(hour + 1) % 24}`));
  await serveTasks(cwd);
  await eventually(() => notes(cwd).length >= 1);
  const later = project(section('tick', String((hour + 5) % 24)));
  await serveTasks(later);
  const next = await eventually(async () => (await task(later))?.next);
  expect([new Date(next).getUTCHours(), new Date(next).getUTCMinutes()]).toEqual([(hour + 5 + 24 - offset) % 24, 0]);
});

test('metrics count the runs by their results', async () => {
  const cwd = project(
    `[composite:main]\nuse = npm:paster#urlmap\n/metrics = metrics\n/ = app\n[app:metrics]\nuse = npm:paster#metrics\n` +
      `${WEB.replace('[app:main]', '[app:app]')}workers = 1\n[task:good]\n${EACH_SECOND}\nuse = call:./tasks.js:due\n[task:bad]\n${EACH_SECOND}\nuse = call:./tasks.js:fails\n`,
  );
  const { url } = await serve(['x.ini'], { cwd });
  const value = (text: string, name: string) =>
    Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  const text = await eventually(async () => {
    const page = await (await fetch(`${url}/metrics`)).text();
    const counts = ['good",result="ok', 'bad",result="failed'].map((labels) =>
      value(page, `paster_task_runs_total\\{task="${labels}"\\}`),
    );
    return counts.every((count) => count >= 2) && page;
  });
  expect(value(text, 'paster_task_runs_total\\{task="good",result="failed"\\}')).toBe(0);
  expect(value(text, 'paster_task_last_success\\{task="good"\\}')).toBe(1);
  expect(value(text, 'paster_task_last_success\\{task="bad"\\}')).toBe(0);
  const begun = value(text, 'paster_task_last_run_time_seconds\\{task="good"\\}');
  expect(Math.abs(begun - Date.now() / 1000)).toBeLessThan(30);
  const seconds = value(text, 'paster_task_last_duration_seconds\\{task="good"\\}');
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThan(10);
  expect([0, 1]).toContain(value(text, 'paster_task_running\\{task="good"\\}'));
});

test('a run beyond its timeout is stopped, and killed if it does not end', async () => {
  const cwd = project(
    `[task:long]\n${EACH_SECOND}\ntimeout = 0.3\nuse = call:./tasks.js:forever\n` +
      `[task:deaf]\n${EACH_SECOND}\ntimeout = 1.5\ngraceful_timeout = 0.1\nuse = call:./tasks.js:never\n`,
  );
  const program = await serveTasks(cwd);
  await program.says(/\[task:long\] stopped after \d+\.\d s: it ran longer than its timeout of 0\.3 s/);
  await program.says(/\[task:deaf\] killed after \d+\.\d s: it ran longer than its timeout of 1\.5 s/);
  expect((await task(cwd))?.runs['timeout']).toBeGreaterThan(0);
});

test('a failed run is logged and shown in status, and the next one runs', async () => {
  const cwd = project(`${WEB}[task:bad]\n${EACH_SECOND}\nuse = call:./tasks.js:fails\n`);
  const program = await serve(['x.ini'], { cwd });
  await program.says(/\[task:bad\] failed after \d+\.\d s: tasks\.js:\d+:\d+: no disk\n {2}at .*fails .*tasks\.js/);
  await eventually(async () => ((await task(cwd))?.runs['failed'] ?? 0) > 1);
  expect((await task(cwd))?.last).toMatchObject({ result: 'failed', text: expect.stringContaining('no disk') });
  const { stdout } = await runHere(['status', 'x.ini'], { cwd });
  expect(stdout).toMatch(
    /^task bad: \d+ failed, (?:\d+ skipped, )?last failed after .* no disk, (?:next at|runs now)/m,
  );
});

test('TERM ends a run together with the children of its command', async () => {
  const cwd = project(`[task:long]\n${EACH_SECOND}\ncommand = sh -c 'sleep 1000 & echo child $!; wait'\n`);
  const program = await serveTasks(cwd);
  const [, child = ''] = await program.says(/^child (\d+)$/m);
  expect((await program.kill('SIGTERM')).status).toBe(0);
  await eventually(() => !isAlive(Number(child)));
});

test('HUP changes a schedule, adds and removes tasks', async () => {
  const cwd = project(`${WEB}[task:one]\n${NEVER}\nuse = call:./tasks.js:due\n`);
  const program = await serve(['x.ini'], { cwd });
  const first = await task(cwd);
  writeFileSync(join(cwd, 'x.ini'), `${WEB}[task:two]\nschedule = 0 0 2 1 *\nuse = call:./tasks.js:due\n`);
  program.child.kill('SIGHUP');
  await eventually(async () => (await task(cwd))?.name === 'two');
  expect([first?.name, (await task(cwd))?.next === first?.next]).toEqual(['one', false]);
});

describe('paster run', () => {
  const allTasks = () =>
    project(
      `${WEB}[task:due]\n${NEVER}\nuse = call:./tasks.js:due\n[task:fails]\n${NEVER}\nuse = call:./tasks.js:fails\n` +
        `[task:status]\n${NEVER}\ncommand = sh -c 'echo out; exit 3'\n[task:get]\n${NEVER}\nrequest = POST /internal/cleanup\n` +
        `[task:bad]\n${NEVER}\nrequest = /bad\n[task:program]\n${NEVER}\nuse = program:./program.js\nargs = x\n[task:long]\n${NEVER}\nuse = call:./tasks.js:forever\ntimeout = 0.2\n` +
        `[task:deaf]\n${NEVER}\nuse = call:./tasks.js:never\ntimeout = 0.2\ngraceful_timeout = 0.1\n`,
    );

  test('runs a function, and its exit status is the result', async () => {
    const directory = allTasks();
    const begun = Date.now();
    expect(await run(directory, 'due')).toMatchObject({ status: 0, stderr: '' });
    const [due = 0] = notes(directory).map((each) => Date.parse(each));
    expect(due >= begun && due <= Date.now()).toBe(true);
    expect(await run(directory, 'fails')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/tasks\.js:5:\d+: .*no disk/),
    });
  });

  test('runs a command, a program and a request to the application', async () => {
    const directory = allTasks();
    writeFileSync(join(directory, 'program.js'), 'console.log("ran", process.argv[2]);\n');
    expect(await run(directory, 'status')).toMatchObject({ status: 1, stdout: 'out\n' });
    expect(await run(directory, 'program')).toMatchObject({ status: 0, stdout: 'ran x\n' });
    expect(await run(directory, 'get')).toMatchObject({ status: 0 });
    expect(notes(directory)).toEqual(['POST /internal/cleanup']);
    expect(await run(directory, 'bad')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('GET /bad responded with status 500'),
    });
  });

  test('ends with a command, even if a daemon of the command keeps its output open', async () => {
    const directory = project(`[task:start]\n${NEVER}\ncommand = sh start.sh\n`);
    const daemon = "setsid sh -c 'echo daemon $$; touch left; exec sleep 1000'";
    writeFileSync(join(directory, 'start.sh'), `${daemon} &\nuntil [ -e left ]; do sleep 0.01; done\nexit 4\n`);
    const program = paster(['run', 'x.ini', 'start'], { cwd: directory });
    const [, pid = ''] = await program.says(/^daemon (\d+)$/m);
    const { status, stderr } = await program.finished();
    expect([status, isAlive(Number(pid))]).toEqual([1, true]);
    process.kill(Number(pid));
    expect(stderr).toContain('command sh ended with status 4');
  });

  test.each(['SIGTERM', 'SIGINT'] as const)(
    'leaves %s to the handlers of a program, which ends by itself',
    async (signal) => {
      const directory = allTasks();
      writeFileSync(
        join(directory, 'program.js'),
        `for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => console.log('asked to end'));
setTimeout(() => console.log('ended'), 2500);
console.log('begun');\n`,
      );
      const program = paster(['run', 'x.ini', 'program'], { cwd: directory });
      await program.says(/^begun$/m);
      program.child.kill(signal);
      expect(await program.finished()).toMatchObject({ status: 0, stdout: 'begun\nasked to end\nended\n' });
    },
  );

  test('takes an assignment for a variable, and changes no setting', async () => {
    const tasks = 'export const show = ({ days }, local) => console.log(days, JSON.stringify(local));\n';
    const directory = temporaryDirectory({
      'tasks.mjs': tasks,
      'x.ini': `[task:show]\n${NEVER}\nuse = call:./tasks.mjs:show\ntimeout = 5\ndays = 30\nkept = %(days)s to %(end)s\n`,
    });
    const assigned = ['days=7', 'timeout=0.001', 'use=none', 'schedule=none', 'end=10'];
    const { stdout, stderr } = await paster(['run', 'x.ini', 'show', ...assigned], { cwd: directory }).finished();
    const local = { schedule: NEVER.slice('schedule = '.length), timeout: '5', days: '30', kept: '30 to 10' };
    expect([stdout, stderr]).toEqual([`7 ${JSON.stringify(local)}\n`, '']);
    writeFileSync(join(directory, 'x.ini'), `[DEFAULT]\ndays = 1\n${readFileSync(join(directory, 'x.ini'), 'utf8')}`);
    const warned = await paster(['run', 'x.ini', 'show', 'end=10'], { cwd: directory }).finished();
    expect(warned.stderr).toMatch(/x\.ini:7:1: \[task:show\] days is also a global/);
  });

  test('ends with a program that has nothing left to do, before its timeout', async () => {
    const directory = temporaryDirectory({
      'program.js': "console.log('ran');\n",
      'x.ini': `[task:program]\n${NEVER}\nuse = program:./program.js\ntimeout = 30\n`,
    });
    expect(await run(directory, 'program')).toMatchObject({ status: 0, stdout: 'ran\n', stderr: '' });
  });

  test('leaves TERM to the handler of a program that has just begun a top-level await', async () => {
    const directory = temporaryDirectory({
      'program.mjs': `const asked = new Promise((resolve) => process.on('SIGTERM', resolve));
const timer = setInterval(() => {}, 1000);
console.log('begun');
await asked;
clearInterval(timer);
console.log('ended');\n`,
      'x.ini': `[task:program]\n${NEVER}\nuse = program:./program.mjs\ngraceful_timeout = 5\n`,
    });
    const program = paster(['run', 'x.ini', 'program'], { cwd: directory });
    await program.says(/^begun$/m);
    program.child.kill('SIGTERM');
    expect(await program.finished()).toMatchObject({ status: 0, stdout: 'begun\nended\n', stderr: '' });
  });

  test('applies the timeout while the code loads', async () => {
    const directory = temporaryDirectory({
      'slow.mjs': 'await new Promise((resolve) => setTimeout(resolve, 60_000));\nexport const slow = () => {};\n',
      'x.ini': `[task:slow]\n${NEVER}\nuse = call:./slow.mjs:slow\ntimeout = 0.2\ngraceful_timeout = 0.1\n`,
    });
    expect(await run(directory, 'slow')).toMatchObject({
      status: 1,
      stderr: 'paster: [task:slow] did not end within graceful_timeout (0.1 s)\n',
    });
  });

  test('reports a timeout and an unknown name', async () => {
    const directory = allTasks();
    const deaf = await run(directory, 'deaf');
    expect([deaf.status, deaf.stderr]).toEqual([
      1,
      'paster: [task:deaf] did not end within graceful_timeout (0.1 s)\n',
    ]);
    expect((await run(directory, 'long')).stderr).toContain(
      '[task:long] was stopped: it ran longer than its timeout of 0.2 s',
    );
    expect(await run(directory, 'du')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('did you mean "due"?'),
    });
  });
});

describe('a task that can never run', () => {
  const file = (section: string) =>
    `${WEB.replace('port = 0', 'port = 0\nworkers = 1')}[task:a]\n${NEVER}\n${section}\n`;
  const WRONG: readonly (readonly [section: string, place: string, message: RegExp])[] = [
    ['command = true\novrlap = skip', '10:1', /unknown setting "ovrlap" \(did you mean "overlap"\?\)/],
    ['command = no-such-program', '9:1', /command: cannot start no-such-program: there is no such program/],
    ['command = ./tasks.js', '9:1', /command: cannot start \.\/tasks\.js: it is not executable/],
    ['command = true\ncwd = nowhere', '10:1', /cwd: there is no directory \S+nowhere/],
    ['use = program:./task.js', '9:1', /there is no program \S+task\.js/],
    ['request = nowhere', '9:1', /request: "nowhere" is not a method and a path/],
    ['request = /x\napp = mian', '10:7', /there is no section \[app:mian\]/],
    ['use = call:./task.js:due', '9:7', /there is no module \S+task\.js \(did you mean "\.\/tasks\.js"\?\)/],
  ];

  test('is found by check', async () => {
    const sections = WRONG.map(([section], index) => `[task:t${index}]\n${NEVER}\n${section}\n`).join('');
    const { stdout } = await runHere(['check', 'x.ini'], { cwd: project(WEB + sections) });
    const lines = stdout.split('\n').filter(Boolean);
    expect(lines).toEqual(WRONG.map(([, , message]) => expect.stringMatching(message)));
  });

  test('is refused by serve; at HUP and an upgrade the old version stays', async () => {
    const cwd = project(file('use = call:./tasks.js:due'));
    const program = await serve(['x.ini'], { cwd });
    for (const [section, place, message] of WRONG) {
      writeFileSync(join(cwd, 'x.ini'), file(section));
      program.child.kill('SIGHUP');
      const line = `not reloaded, the old version keeps running: x\\.ini:${place}: \\[task:a\\] ${message.source}`;
      await program.says(new RegExp(line));
    }
    for (const command of ['upgrade', 'serve']) {
      const { status, stdout, stderr } = await paster([command, 'x.ini'], { cwd }).finished();
      expect([status === 0, stdout, stderr]).toEqual([false, '', expect.stringMatching(/x\.ini:9:7: .*no module/)]);
    }
    expect((await fetch(program.url)).status).toBe(200);
  });

  test('is logged with --reload', async () => {
    const cwd = project(file('use = call:./task.js:due'));
    const program = await serve(['x.ini', '--reload'], { cwd });
    await program.says(/\[task:a\] there is no module/);
  });

  test('because its code has an error is logged when the server has started, and after HUP', async () => {
    const cwd = project(file('use = call:./tasks.js:du'));
    const program = await serve(['x.ini'], { cwd });
    await program.says(/\[task:a\] a run would fail: x\.ini:9:7: \S+ exports no "du" \(did you mean "due"\?\)/);
    writeFileSync(join(cwd, 'x.ini'), file('use = call:./tasks.js:dua'));
    program.child.kill('SIGHUP');
    await program.says(/\[task:a\] a run would fail: .* exports no "dua"/);
  });
});

test('check finds wrong schedules, time zones and settings', async () => {
  const cwd = project(
    `[task:a]\nschedule = 0 3 * *\ncommand = x\n[task:b]\nschedule = 0 0 30 2 *\ncommand = x\n[task:c]\n${NEVER}\ntimezone = Europe/Berln\ncommand = x\n` +
      `[task:d]\n${NEVER}\nrequest = nowhere\n[task:e]\ncommand = x\n[task:f]\n${NEVER}\ncommand = x\noverlp = skip\n` +
      `[task:g]\n${NEVER}\nrequest = PSOT /internal\n[task:web]\n${NEVER}\ncommand = x\n[task:h]\n${NEVER}\ncommand = x\n[process:h]\ncommand = node x\n`,
  );
  const { stdout, status } = await runHere(['check', 'x.ini'], { cwd });
  expect(status).toBe(2);
  const lines = stdout.split('\n').filter(Boolean);
  const expected = [
    /^x\.ini:2:1: \[task:a\] schedule: it has 4 fields \(allowed: five fields .*, six with seconds in front, or @yearly \(@annually\), @monthly, @weekly, @daily \(@midnight\), @hourly\)/,
    /^x\.ini:5:1: \[task:b\] schedule: "0 0 30 2 \*" is never due/,
    /^x\.ini:9:1: \[task:c\] timezone: there is no time zone "Europe\/Berln"/,
    /^x\.ini:13:1: \[task:d\] request: "nowhere" is not a method and a path/,
    /^x\.ini:14:1: \[task:e\] setting "schedule" is missing/,
    /^x\.ini:19:1: \[task:f\] unknown setting "overlp" \(did you mean "overlap"\?\)/,
    /^x\.ini:22:1: \[task:g\] request: there is no method "PSOT" \(allowed: a method and a path, such as POST/,
    /^x\.ini:23:1: \[task:web\] is not a name for a task \("web" means the web server in --only and --without: choose/,
    /^x\.ini:26:1: \[task:h\] is not a name for a task \("h" means \[process:h\] in --only and --without: choose/,
  ];
  expect(lines).toEqual(expected.map((each) => expect.stringMatching(each)));
});
