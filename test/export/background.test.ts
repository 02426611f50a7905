/** `paster export` of files with background processes and tasks: one unit or image for all, and one for each. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { validate } from 'dockerfile-utils';
import { Deployment } from 'kubernetes-models/apps/v1';
import { CronJob } from 'kubernetes-models/batch/v1';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { temporaryDirectory } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';
import { eventually, freePort, Program, paster, requireProgram, serve } from '../helpers/programs/program.ts';
import { exported, ini, project, refused } from './site.ts';

const HTTP = 'use = npm:paster#http\nport = 8085\ngraceful_timeout = 20\nworkers = 2';
const PROCESSES = `
[process:mailer]
command = sh -c 'echo mailer runs; exec sleep 1000'
instances = 2
max_memory = 100

[process:scheduler]
command = sh -c 'echo scheduler runs; exec sleep 1000'
exclusive = true
graceful_timeout = 90
`;
const TASKS = `
[task:cleanup]
schedule = 0 3 * * MON-FRI
timezone = Europe/Berlin
command = echo cleaned
timeout = 600
missed = once

[task:report]
schedule = */10 * * * *
request = GET /query
`;
/** The background processes and tasks that `paster status` lists. */
const PARTS = /^(?:process|task) [a-z]+(?=:)/gm;
/** A directory whose INI file has no server. */
const withoutServer = (sections = PROCESSES + TASKS.replace(/\[task:report\][\s\S]*/, '')) =>
  temporaryDirectory({
    'package.json': '{ "name": "shop", "dependencies": { "paster": "1" } }\n',
    'etc/config.ini': sections,
  });

describe('systemd', () => {
  const missing = requireProgram('systemd-analyze') === undefined;
  const units = async (directory: string, ...options: string[]) => {
    const output = join(directory, 'units');
    mkdirSync(output, { recursive: true });
    expect(await exported('systemd', ini(directory), '--split', '-o', output, ...options)).toBe('');
    return output;
  };
  const unit = (output: string, name: string) => readFileSync(join(output, name), 'utf8').split('\n');

  test.skipIf(missing)('--split: systemd accepts all units', async () => {
    const output = await units(project(HTTP, PROCESSES + TASKS), '--user', 'daemon');
    const names = [
      'shop.target',
      'shop-web.service',
      'shop-web.socket',
      'shop-mailer.service',
      'shop-scheduler.service',
    ];
    const tasks = ['shop-cleanup.service', 'shop-cleanup.timer', 'shop-report.service', 'shop-report.timer'];
    const files = [...names, ...tasks].map((name) => join(output, name));
    const verify = new Program('systemd-analyze', ['verify', '--man=no', ...files]);
    expect(await verify.finished()).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(unit(output, 'shop.target')).toContain(
      'Wants=shop-web.service shop-web.socket shop-mailer.service shop-scheduler.service shop-cleanup.timer shop-report.timer',
    );
    expect(unit(output, 'shop-scheduler.service')).toContain('TimeoutStopSec=100');
    expect(unit(output, 'shop-cleanup.timer')).toEqual(
      expect.arrayContaining(['OnCalendar=Mon..Fri *-*-* 03:00:00 Europe/Berlin', 'Persistent=yes']),
    );
    expect(unit(output, 'shop-cleanup.service')).toContain('Type=oneshot');
    expect(unit(output, 'shop-report.timer')).not.toContain('Persistent=yes');
  });

  test('--split: each unit runs its part and no other', async () => {
    const port = await freePort();
    const directory = project(`use = npm:paster#http\nport = ${port}\ngraceful_timeout = 0.1`, PROCESSES + TASKS);
    const output = await units(directory);
    const start = (name: string) => {
      const [, line = ''] =
        unit(output, name)
          .map((each) => /^ExecStart=(.*)$/.exec(each))
          .find((match) => match !== null) ?? [];
      const [file = '', ...args]: string[] = JSON.parse(`[${line.replaceAll('" "', '","')}]`);
      return new Program(file, args, { cwd: directory });
    };
    const web = start('shop-web.service');
    await web.says(/^serving on /m);
    const mailer = start('shop-mailer.service');
    await mailer.says(/mailer runs/);
    const parts = await eventually(async () => {
      const { stdout } = await paster(['status', ini(directory)]).finished();
      return stdout.match(PARTS) ?? false;
    });
    expect(parts).toEqual(['process mailer']);
    expect(await start('shop-cleanup.service').finished()).toMatchObject({ status: 0, stdout: 'cleaned\n' });
    expect(await start('shop-report.service').finished()).toMatchObject({ status: 0 });
    expect(web.output + mailer.output).not.toContain('scheduler runs');
  });

  test('the timeouts of a single unit suffice for the slowest part', async () => {
    const text = await exported('systemd', ini(project(HTTP, PROCESSES + TASKS)));
    // graceful_timeout of the scheduler, and start_timeout of the web server and both processes, each with a margin.
    expect(text).toContain(`\nTimeoutStopSec=${90 + 10}\n`);
    expect(text).toContain(`\nTimeoutStartSec=${3 * 60 + 10}\n`);
    expect(text).not.toContain('--only');
  });

  test.skipIf(missing)('a file without a server has no socket', async () => {
    const directory = withoutServer();
    const output = join(directory, 'shop.service');
    expect(await exported('systemd', ini(directory), '--user', 'daemon', '-o', output)).toBe('');
    const verify = new Program('systemd-analyze', ['verify', '--man=no', output]);
    expect(await verify.finished()).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(readFileSync(output, 'utf8')).not.toContain('.socket');
  });

  test('a process with its own user needs its own unit', async () => {
    const directory = project(HTTP, '[process:mailer]\ncommand = sleep 1000\nuser = mail\n');
    expect(await refused('systemd', ini(directory))).toMatch(
      /config\.ini:\d+:\d+: \[process:mailer\] user: the service runs as www-data and cannot become mail \(export with --split\)/,
    );
    expect(unit(await units(directory), 'shop-mailer.service')).toContain('User=mail');
  });

  test('what a timer cannot do is reported with its place', async () => {
    const task = (lines: string) => ini(project(HTTP, `[task:a]\ncommand = true\n${lines}\n`));
    expect(await refused('systemd', '--split', task('schedule = 0 0 15W * *'))).toMatch(
      /config\.ini:\d+:\d+: \[task:a\] schedule: systemd has no calendar for "0 0 15W \* \*"/,
    );
    const { stdout, stderr } = await paster([
      'export',
      'systemd',
      '--split',
      task('schedule = 0 0 * * *\noverlap = kill'),
    ]).finished();
    expect(stderr).toMatch(/config\.ini:\d+:\d+: \[task:a\] overlap: systemd always skips/);
    expect(stdout).toContain('[task:a] overlap');
  });

  test('several services need a directory, and names of parts may have any form', async () => {
    const directory = project(
      HTTP,
      '[process:Send Mail]\ncommand = true\n[task:send-mail]\nschedule = @daily\ncommand = true\n',
    );
    expect(await refused('systemd', '--split', ini(directory), '-o', join(directory, 'shop.service'))).toContain(
      'is not a directory',
    );
    const output = await units(directory);
    expect(unit(output, 'shop-send-mail.service').join('\n')).toContain('"--only" "Send Mail"');
    expect(unit(output, 'shop-send-mail-2.service').join('\n')).toContain('"run"');
    for (const [file, description] of [
      ['shop-send-mail.service', 'Process Send Mail of shop, run by paster'],
      ['shop-send-mail-2.service', 'Task send-mail of shop, run by paster'],
      ['shop-send-mail-2.timer', 'Schedule of the task send-mail of shop'],
    ] as const) {
      expect(unit(output, file)).toContain(`Description=${description}`);
    }
    expect(await refused('systemd', '--split', ini(project(HTTP, '[process:a,b]\ncommand = true\n')))).toContain(
      'a command line cannot name this section',
    );
    expect(await refused('docker', '--split', ini(directory))).toContain('--split does not apply to docker');
  });
});

/** The tasks that `create --from` writes for cron_restart of pm2, and one that does something else. */
const RESTARTS = `
[task:restart-web]
schedule = 0 4 * * *
command = npx paster control "%(__file__)s" reload

[task:restart-mailer]
schedule = 0 4 * * *
command = sh -c 'npx paster control "$0" stop mailer && npx paster control "$0" start mailer' "%(__file__)s"

[task:evening]
schedule = 0 20 * * *
command = paster control etc/config.ini stop mailer
`;

describe('a task that restarts other parts by paster control', () => {
  const exportedAs = async (...args: string[]) => {
    const directory = project(HTTP, PROCESSES + RESTARTS);
    const { status, stdout, stderr } = await runHere(['export', ...args, ini(directory)]);
    const place = (name: string) =>
      new RegExp(`config\\.ini:\\d+:1: \\[task:${name}\\] command: (.*)$`, 'm').exec(stderr)?.[1];
    return { status, stdout, place };
  };

  test('systemd --split: its timer runs systemctl', async () => {
    const { status, stdout, place } = await exportedAs('systemd', '--split');
    expect(status).toBe(0);
    expect(stdout).toContain(
      'ExecStart=/bin/systemctl try-reload-or-restart shop-web.service shop-mailer.service shop-scheduler.service\n',
    );
    expect(stdout).toContain('ExecStart=/bin/systemctl try-restart shop-mailer.service\n');
    expect(stdout).toContain('# shop-restart-mailer.timer\n');
    expect([place('restart-web'), place('restart-mailer')]).toEqual([undefined, undefined]);
    expect(place('evening')).toMatch(/finds no server, .* write a unit and a timer that run systemctl/);
  });

  test('kubernetes: the task is left out', async () => {
    const { status, stdout, place } = await exportedAs('kubernetes');
    expect([status, stdout.includes('kind: CronJob')]).toEqual([0, false]);
    for (const name of ['restart-web', 'restart-mailer', 'evening'])
      expect(place(name)).toMatch(/does not reach other pods, .*"kubectl rollout restart"/);
  });
});

describe('docker', () => {
  test('one command runs all parts, also without a server', async () => {
    const directory = withoutServer();
    const text = await exported('docker', ini(directory));
    expect(validate(text, {})).toEqual([]);
    expect(text).not.toMatch(/^(?:EXPOSE|HEALTHCHECK)/m);
    expect(text).toContain('docker stop -t 95');
    const [, words = ''] = /^CMD (.*)$/m.exec(text) ?? [];
    const [, , ...args]: string[] = JSON.parse(words);
    const program = paster(args, { cwd: directory });
    await program.says(/mailer runs/);
    await program.says(/scheduler runs/);
    expect(await program.kill('SIGTERM')).toMatchObject({ status: 0 });
  });

  test('no part of a container has its own user', async () => {
    const directory = withoutServer('[process:mailer]\ncommand = true\nuser = mail\n');
    expect(await refused('docker', ini(directory))).toMatch(/config\.ini:3:1: \[process:mailer\] user: /);
    expect(await refused('kubernetes', ini(directory))).toMatch(/config\.ini:3:1: \[process:mailer\] user: /);
  });

  test('a command whose program the image does not have is reported', async () => {
    const directory = withoutServer(
      "[process:ml]\ncommand = python3 ml.py\n\n[process:all]\ncommand = sh -c 'export A=1; ruby x | sort && exec env B=2 node y.js'\n\n[process:own]\ncommand = bin/own\n",
    );
    const { status, stdout, stderr } = await runHere(['export', 'docker', ini(directory)]);
    const remedy = 'build an image from this one that installs it, or run this section in a container of its own';
    const notes = [
      `${ini(directory)}:2:1: [process:ml] command: node:24-slim has no python3: ${remedy}`,
      `${ini(directory)}:5:1: [process:all] command: node:24-slim has no ruby: ${remedy}`,
    ];
    expect({ status, stderr }).toEqual({ status: 0, stderr: notes.map((note) => `paster: ${note}\n`).join('') });
    expect(stdout).toContain(`\n# ${notes[0]}\n`);
  });

  test('a web server that has no server to connect to is refused', async () => {
    expect(await refused('nginx', ini(withoutServer()))).toContain('has no server to connect to');
  });
});

describe('kubernetes', () => {
  const objectsOf = async (directory: string, ...options: string[]) => {
    const text = await exported('kubernetes', ini(directory), ...options);
    const objects = parseAllDocuments(text).map((document) => document.toJS());
    for (const object of objects) {
      const Model = { Deployment, CronJob }[object.kind as string];
      if (Model) expect(() => new Model(object).validate()).not.toThrow();
    }
    const named = (kind: string, name: string) =>
      objects.find((each) => each.kind === kind && each.metadata.name === name);
    return { objects, named };
  };
  const commandOf = (template: { spec: { containers: { command: string[] }[] } }) =>
    template.spec.containers[0]?.command.slice(2) ?? [];

  test('the web server and each process get a Deployment, and each task a CronJob', async () => {
    const directory = project(HTTP, PROCESSES + TASKS);
    const { named } = await objectsOf(directory);
    const web = named('Deployment', 'shop').spec;
    expect(commandOf(web.template)).toEqual(expect.arrayContaining(['--only', 'web']));
    // preStop, graceful_timeout and a margin.
    expect(web.template.spec.terminationGracePeriodSeconds).toBe(5 + 20 + 5);
    const mailer = named('Deployment', 'shop-mailer').spec;
    expect(mailer).toMatchObject({ replicas: 1, strategy: { type: 'RollingUpdate' } });
    expect(commandOf(mailer.template)).toEqual(['serve', '--only', 'mailer', 'etc/config.ini']);
    expect(mailer.template.spec.containers[0].resources.limits).toEqual({ cpu: '2', memory: '384Mi' });
    const scheduler = named('Deployment', 'shop-scheduler').spec;
    expect(scheduler).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } });
    expect(scheduler.template.spec.terminationGracePeriodSeconds).toBe(90 + 5);
    // The Service sends requests only to the pods of the web server.
    const { selector } = named('Service', 'shop').spec;
    for (const { template } of [mailer, scheduler]) expect(template.metadata.labels).not.toMatchObject(selector);
    const cleanup = named('CronJob', 'shop-cleanup').spec;
    expect(cleanup).toMatchObject({
      schedule: '0 3 * * 1-5',
      timeZone: 'Europe/Berlin',
      concurrencyPolicy: 'Forbid',
      // timeout, the default of graceful_timeout and a margin.
      jobTemplate: { spec: { backoffLimit: 0, activeDeadlineSeconds: 600 + 30 + 5 } },
    });
    expect(cleanup).not.toHaveProperty('startingDeadlineSeconds');
    expect(commandOf(cleanup.jobTemplate.spec.template)).toEqual(['run', 'etc/config.ini', 'cleanup']);
    expect(named('CronJob', 'shop-report').spec).toMatchObject({
      schedule: '*/10 * * * *',
      startingDeadlineSeconds: 60,
    });
  });

  test('replicas of the web server run no task, and one Job runs it', async () => {
    const directory = project(`use = npm:paster#http\nport = ${await freePort()}`, PROCESSES + TASKS);
    const { named } = await objectsOf(directory);
    const [, ...args] = commandOf(named('Deployment', 'shop').spec.template);
    const local = args.filter((word) => !word.startsWith('etc/') && word !== '0.0.0.0' && word !== '--host');
    await serve([relative(process.cwd(), ini(directory)), ...local]);
    const { stdout } = await paster(['status', ini(directory)]).finished();
    expect(stdout).toContain('0 requests');
    expect(stdout).not.toMatch(PARTS);
    const job = commandOf(named('CronJob', 'shop-report').spec.jobTemplate.spec.template);
    expect(await paster(job, { cwd: directory }).finished()).toMatchObject({ status: 0 });
  });

  test('a file without a server gets Deployments and CronJobs alone', async () => {
    const { objects } = await objectsOf(withoutServer());
    expect(objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
      'ConfigMap shop-config',
      'Deployment shop-mailer',
      'Deployment shop-scheduler',
      'CronJob shop-cleanup',
    ]);
  });

  test.each([
    ['kill', 'overlap = kill', { concurrencyPolicy: 'Replace', startingDeadlineSeconds: 60 }],
    ['queue: without a deadline, the run waits', 'overlap = queue', { concurrencyPolicy: 'Forbid' }],
  ])('overlap of a task becomes that of its CronJob: %s', async (_what, line, expected) => {
    const directory = withoutServer(`[task:a]\nschedule = @hourly\ncommand = true\n${line}\n`);
    const { spec } = (await objectsOf(directory)).named('CronJob', 'shop-a');
    const { schedule, jobTemplate, ...rest } = spec;
    expect(rest).toEqual(expected);
  });

  test('long names are shortened', async () => {
    const name = 'a'.repeat(70);
    const { objects } = await objectsOf(withoutServer(`[task:${name}]\nschedule = @hourly\ncommand = true\n`));
    expect(objects[1]?.metadata.name).toHaveLength(52);
  });

  test('what a CronJob cannot do is reported with its place', async () => {
    const task = (lines: string) => ini(withoutServer(`[task:a]\ncommand = true\n${lines}\n`));
    expect(await refused('kubernetes', task('schedule = 30 0 0 * * *'))).toMatch(
      /config\.ini:3:1: \[task:a\] schedule: Kubernetes has no schedule for "30 0 0 \* \* \*": it has seconds/,
    );
    const { stderr } = await runHere(['export', 'kubernetes', task('schedule = @daily\njitter = 5')]);
    expect(stderr).toMatch(/config\.ini:4:1: \[task:a\] jitter: Kubernetes starts each run on time/);
  });
});

test('variables that only a process or a task needs are listed too', async () => {
  const directory = withoutServer(
    '[process:a]\ncommand = sleep 1000\nenvironment = A=%(ENV_QUEUE)s\n[task:b]\nschedule = @daily\ncommand = true\nenvironment = B=%(ENV_BACKUP)s\nset C = %(ENV_B)s\n',
  );
  const env = { QUEUE: 'q', BACKUP: 'b' };
  const { stderr } = await runHere(['export', 'kubernetes', ini(directory)], { env });
  expect(stderr).toContain('create the Secret shop-env with the keys: BACKUP, QUEUE\n');
});
