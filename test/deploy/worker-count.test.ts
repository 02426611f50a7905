/** `workers`, and what follows from it: how many there are at most, and between which bounds the load decides. */
import { expect, test } from 'vitest';
import { loadServer } from '../../src/deploy/load.ts';
import { workerCount, workerCountText } from '../../src/deploy/server/worker-count.ts';
import { cpuCapacity, workersFor } from '../../src/machine/capacity.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

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
  const parsed = workerCount.parse(text);
  expect(parsed).toEqual(count);
  expect(workerCount.parse(workerCountText(parsed))).toEqual(count);
});

test.each([
  ['8-1', 'the lower bound comes first: 1-8'],
  ['0', 'out of range'],
  ['0-0', 'out of range'],
  ['1-2000', 'out of range'],
  ['-1', 'out of range'],
  ['1-', 'not a whole number'],
  ['auto-4', 'not a whole number'],
  ['1-2-3', 'not a whole number'],
  ['many', 'not a whole number'],
])('%s is an error', (text, message) => {
  expect(() => workerCount.parse(text)).toThrow(message);
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
])('%s', async (settings, most, scaling) => {
  const { workers, scaling: found } = await server(settings);
  expect(workers).toBe(most);
  if (scaling === undefined) expect(found).toBeUndefined();
  else expect(found).toMatchObject(scaling);
});

test('minSpare above maxSpare is an error', async () => {
  const settings = 'use = npm:paster#http\nworkers = 1-4\nminSpare = 3\nmaxSpare = 2';
  await expect(server(settings)).rejects.toThrow('[server:main] minSpare = 3 is more than maxSpare = 2');
});
