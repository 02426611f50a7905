/** What a spare worker has read of the configuration before a file changes, and when that is not used. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { GlobalState, loadLazyGlobals } from '../../src/process/preload/observe/global-state.ts';
import { planOf, type WorkerPlan } from '../../src/serve/plan.ts';
import { configurationReadAhead, readConfigurationAhead } from '../../src/serve/worker/configuration-ahead.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

const INI = (server = 'npm:paster#http') =>
  `[app:main]\nuse = module:./app.js\nreload_files = data/*.json\n[server:main]\nuse = ${server}\n`;

async function planned(ini: string): Promise<WorkerPlan> {
  const directory = temporaryDirectory({
    'develop.ini': ini,
    'package.json': '{"type": "module"}',
    'server.js': SERVER,
  });
  const plan = await planOf('develop.ini', {}, directory, {});
  return {
    ...plan,
    servers: [{ name: 'main', scheme: 'http', sockets: 1 }],
    variables: {},
    preload: [],
    workers: 1,
    countRequests: false,
    sticky: undefined,
    reload: true,
    logLevel: 'info',
    ownership: { user: undefined, group: undefined },
    logFile: undefined,
    inspect: undefined,
  };
}

const SERVER = `globalThis.imported = true;
export const makeServer = () => ({ scheme: 'http', serve() {} });
`;

test('the application and its server are resolved, and no module of the application is imported', async () => {
  loadLazyGlobals();
  const plan = await planned(INI());
  await readConfigurationAhead(plan);
  const before = new GlobalState();
  await readConfigurationAhead(plan);
  expect(new GlobalState().since(before)).toEqual({ changed: undefined, added: [] });
  const read = await configurationReadAhead({ ...plan, development: { secret: '', version: 'next' } });
  expect(read?.session.files).toEqual([join(plan.directory, 'develop.ini')]);
  expect(read?.patterns).toEqual([join(plan.directory, 'data/*.json')]);
  expect(read?.servers?.map(({ server }) => server.scheme)).toEqual(['http']);
  expect(read?.app.sections.map(({ name }) => name)).toEqual(['app:main']);
});

test('with another plan the configuration is read again', async () => {
  const plan = await planned(INI());
  await readConfigurationAhead(plan);
  expect(await configurationReadAhead({ ...plan, variables: { MODE: 'other' } })).toBeUndefined();
});

test('the module of a server is not imported', async () => {
  const plan = await planned(INI('call:./server.js:makeServer'));
  await readConfigurationAhead(plan);
  const read = await configurationReadAhead(plan);
  expect(read?.servers).toBeUndefined();
  expect(read?.app).toBeDefined();
  expect('imported' in globalThis).toBe(false);
});

test('a file that cannot be read is read when the application is loaded', async () => {
  const plan = await planned(INI());
  writeFileSync(join(plan.directory, 'develop.ini'), '[app:main\n');
  await readConfigurationAhead(plan);
  expect(await configurationReadAhead(plan)).toBeUndefined();
});
