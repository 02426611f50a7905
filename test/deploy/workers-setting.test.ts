/** `workers`: the maximum number of workers, and the bounds between which paster scales with the load. */
import { expect, test } from 'vitest';
import { loadServer } from '../../src/deploy/load.ts';
import { workersSetting, workersSettingText } from '../../src/deploy/server/workers-setting.ts';
import { cpuCapacity, workersFor } from '../../src/machine/capacity.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';

const CPUS = workersFor(cpuCapacity().cpus);

test.each([
  ['4', 4],
  ['auto', 'auto'],
  ['1-8', { min: 1, max: 8 }],
  [' 0 - 4 ', { min: 0, max: 4 }],
  ['1-auto', { min: 1, max: 'auto' }],
  ['0-auto', { min: 0, max: 'auto' }],
  ['3-3', 3],
] as const)('%s', (text, count) => {
  const parsed = workersSetting.parse(text);
  expect(parsed).toEqual(count);
  expect(workersSetting.parse(workersSettingText(parsed))).toEqual(count);
});

test.each([
  ['8-1', 'the lower bound comes first: 1-8'],
  ['0', '0 is out of range; did you mean 0-1, which runs a worker only while there are connections?'],
  ['0-0', 'did you mean 0-1'],
  ['1-2000', 'out of range'],
  ['-1', 'out of range'],
  ['auto-4', 'the lower bound of a range is a number'],
  ['1-', 'the range has no upper bound: did you mean 1-auto?'],
  ['1-2-3', 'not a whole number'],
  ['many', 'not a whole number'],
])('%s is an error', (text, message) => {
  expect(() => workersSetting.parse(text)).toThrow(message);
});

async function server(settings: string) {
  const directory = temporaryDirectory({ 'x.ini': `[server:main]\n${settings}\n` });
  return loadServer('config:x.ini', { relativeTo: directory });
}

test.each([
  ['use = npm:paster#http', undefined, undefined],
  ['use = npm:paster#http\nworkers = 3', 3, undefined],
  ['use = npm:paster#http\nworkers = 2-8', 8, { minimum: 2, idleMs: 60_000, leastSpare: 0, mostSpare: 0 }],
  ['use = npm:paster#http\nworkers = 0-4\nidle_timeout = 5s', 4, { minimum: 0, idleMs: 5000 }],
  ['use = npm:paster#http\nworkers = 0-auto', CPUS, { minimum: 0 }],
  ['use = npm:paster#http\nworkers = 900-auto', CPUS, { minimum: CPUS }],
  ['use = npm:paster#http\nworkers = 1-8\nmaxChildren = 4', 4, { minimum: 1 }],
  ['use = egg:Flup#fcgi_fork\nsocket = a', CPUS, undefined],
  ['use = egg:Flup#fcgi_fork\nsocket = a\nmaxChildren = 1', 1, undefined],
  ['use = egg:Flup#scgi_fork\nminSpare = 1\nmaxSpare = 5', CPUS, { minimum: 1, leastSpare: 1, mostSpare: 5 }],
  ['use = egg:Flup#fcgi_fork\nsocket = a\nminSpare = 900', CPUS, { minimum: CPUS, mostSpare: 900 }],
  ['use = egg:Flup#fcgi_fork\nsocket = a\nmaxSpare = 5', CPUS, { minimum: 1, leastSpare: 0, mostSpare: 5 }],
])('%s sets the number of workers', async (settings, most, scaling) => {
  const { workers, scaling: found } = await server(settings);
  expect(workers).toBe(most);
  if (scaling === undefined) expect(found).toBeUndefined();
  else expect(found).toMatchObject(scaling);
});

test.each([
  ['workers = 1-4\nminSpare = 3\nmaxSpare = 2', 4, 'minSpare = 3 is more than maxSpare = 2'],
  ['workers = 2-8\nmaxChildren = 1', 4, 'maxChildren = 1 is less than the lower bound of workers = 2-8'],
  ['maxChildren = 1\nworkers = 2-auto', 3, 'maxChildren = 1 is less than the lower bound of workers = 2-auto'],
  ['workers = 1-4\nminSpare = 5', 4, 'minSpare = 5 is more than the upper bound of workers = 1-4'],
  ['workers = 1-8\nmaxChildren = 4\nminSpare = 5', 5, 'minSpare = 5 is more than maxChildren = 4'],
  ['workers = auto\nminSpare = 5\nmaxChildren = 4', 4, 'minSpare = 5 is more than maxChildren = 4'],
  ['workers = 0-4\nminSpare = 1', 4, 'minSpare = 1 contradicts workers = 0-4, which ends all workers'],
  ['workers = 0-4\nmaxSpare = 2', 4, 'maxSpare = 2 contradicts workers = 0-4, which ends all workers'],
])('%j is an error', async (settings, line, message) => {
  await expect(server(`use = npm:paster#http\n${settings}`)).rejects.toMatchObject({
    message: expect.stringContaining(`[server:main] ${message}`),
    hint: expect.stringMatching(/^raise|^leave out/),
    location: { line, column: 1 },
  });
});

test.each([
  'workers = 2-8\nmaxChildren = 2',
  'workers = 1-4\nminSpare = 4',
  'workers = 1-4\nmaxSpare = 16',
  'workers = 0-4\nminSpare = 0\nmaxSpare = 0',
])('%j is valid', async (settings) => {
  expect((await server(`use = npm:paster#http\n${settings}`)).scaling).toBeDefined();
});

test.each(['workers = 4\n', ''])('maxChildren has no effect with "%s", and check says so', async (workers) => {
  const directory = temporaryDirectory({
    'x.ini': `[app:main]\nuse = npm:paster#test\n[server:main]\nuse = npm:paster#http\n${workers}maxChildren = 2\n`,
  });
  const { stdout, stderr, status } = await runHere(['check', 'x.ini'], { cwd: directory });
  const line = workers === '' ? 5 : 6;
  expect({ status, output: stdout + stderr }).toEqual({
    status: 0,
    output: expect.stringContaining(
      `x.ini:${line}:1: warning: [server:main] maxChildren has no effect: workers is neither auto nor a range such as 1-8`,
    ),
  });
});
