/** The times of a task, with real runs and a schedule that the test chooses. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/log.ts';
import { ScheduledTask, type TaskDefinition } from '../../src/process/tasks/scheduled-task.ts';
import type { ProcessPlan } from '../../src/serve/processes/process-plan.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { whenOver } from '../helpers/programs/lifetime.ts';
import { eventually, ROOT } from '../helpers/programs/program.ts';

const FILE = `[task:tick]
schedule = 0 0 1 1 *
command = sh -c 'echo $PASTER_TASK_DUE >> notes'
`;

function notes(directory: string): number[] {
  const file = join(directory, 'notes');
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  return lines.filter(Boolean).map((each) => Date.parse(each));
}

function definition(directory: string, changes: Partial<TaskDefinition<ProcessPlan>>): TaskDefinition<ProcessPlan> {
  return {
    boot: {
      kind: 'task',
      process: 'tick',
      file: join(directory, 'x.ini'),
      directory,
      globalConf: {},
      cwd: directory,
      variables: {},
      envFiles: [],
      preload: [],
      ownership: { user: undefined, group: undefined },
      reload: false,
      logLevel: 'info',
      logFile: undefined,
    },
    check: undefined,
    env: process.env,
    schedule: 'each',
    nextRun: () => undefined,
    jitter: 0,
    overlap: 'queue',
    missed: 'skip',
    timeout: 0,
    gracefulTimeout: 1,
    ...changes,
  };
}

function scheduled(
  changes: Partial<TaskDefinition<ProcessPlan>>,
  isPaused = false,
  directory = temporaryDirectory({ 'x.ini': FILE }),
) {
  const task = new ScheduledTask(definition(directory, changes), {
    name: 'tick',
    entry: join(ROOT, 'dist/worker.js'),
    served: 'x.ini',
    output: () => 'inherit',
    log: silentLogger,
    describeFailure: ({ message }) => message,
    isPaused,
  });
  whenOver(() => task.stop({ graceful: false }));
  return { task, directory };
}

const LATER = 3_600_000;

test.each([
  ['skip', 0, 1],
  ['once', 1, 0],
] as const)('missed = %s: runs that were due while the machine was suspended', async (missed, runs, skipped) => {
  // Like a machine that wakes up: the timer was set for ten minutes ago, and more runs were due after that.
  const woken = Date.now();
  let isFirst = true;
  const nextRun = (after: Date) => {
    const time = isFirst ? woken - 600_000 : after.getTime() + 30_000;
    isFirst = false;
    return new Date(time > woken ? woken + LATER : time);
  };
  const { task, directory } = scheduled({ missed, nextRun });
  await eventually(() => task.status.runs.ok + task.status.runs.missed > 0);
  expect(task.status.runs).toMatchObject({ ok: runs, missed: skipped });
  expect(task.status.next).toBe(woken + LATER);
  expect(notes(directory)).toHaveLength(runs);
});

const INTERVAL_MS = 250;
const nextInterval = (after: Date) => new Date((Math.floor(after.getTime() / INTERVAL_MS) + 1) * INTERVAL_MS);

test('a handover neither loses nor repeats a run, however long it takes', async () => {
  const { task: old, directory } = scheduled({ nextRun: nextInterval });
  const { task: next } = scheduled({ nextRun: nextInterval }, true, directory);
  await eventually(() => notes(directory).length >= 2);
  const until = new Date();
  old.pause(until);
  await new Promise((resolve) => setTimeout(resolve, 3 * INTERVAL_MS));
  next.resume(until);
  await eventually(() => notes(directory).length >= 8);
  await old.stop({ graceful: true });
  const times = notes(directory)
    .sort((a, b) => a - b)
    .slice(0, 7);
  const [first = 0] = times;
  expect(times).toEqual(times.map((_time, index) => first + index * INTERVAL_MS));
});

test('a run that waits for its jitter starts before a handover', async () => {
  let count = 0;
  const { task, directory } = scheduled({
    jitter: 3600,
    nextRun: (after) => new Date(after.getTime() + (count++ === 0 ? 10 : LATER)),
  });
  await eventually(() => task.status.next !== undefined && task.status.next > Date.now() + LATER / 2);
  expect(notes(directory)).toEqual([]);
  task.pause(new Date());
  await task.stop({ graceful: true });
  expect(notes(directory)).toHaveLength(1);
});
