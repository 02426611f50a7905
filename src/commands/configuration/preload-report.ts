/**
 * `paster check -v`: which packages a spare worker imports ahead, and why it leaves out others. Workers import the modules and
 * the packages of the application as they do under `serve --reload`, but call no factory and serve nothing.
 */
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { configuredVariables } from '../../config/env-file.ts';
import { applyEnvironment } from '../../deploy/server/environment.ts';
import { LoadSession } from '../../deploy/session.ts';
import { errorMessage } from '../../errors.ts';
import { silentLogger } from '../../log.ts';
import { OWN_CODE } from '../../own-files.ts';
import { NO_LIMITS } from '../../process/ipc/messages.ts';
import { packageOf } from '../../process/preload/package-files.ts';
import { PreloadPlan, type Prepared } from '../../process/preload/preload-plan.ts';
import { Pool } from '../../process/supervisor/pool.ts';
import type { Settings } from '../../protocol/types.ts';
import { loadPlannedServers, planOf, servedContexts, type WorkerPlan } from '../../serve/plan.ts';

/** How often spare workers may start over because one more package has to be left out. */
const MAX_ROUNDS = 20;
/** How long the application may load, and how long its packages may. */
const LIMIT_MS = 30_000;

/**
 * @param file the absolute path of an INI file in which `check` has found no error
 * @returns lines for the user; none if the file has no server
 */
export async function preloadReport(
  file: string,
  globalConf: Settings,
  envFiles: readonly string[],
): Promise<readonly string[]> {
  const plan = await planOf(file, globalConf, dirname(file), { envFiles });
  const session = new LoadSession(globalConf);
  const environment = await applyEnvironment({ ...plan, reload: true }, session);
  const contexts = await servedContexts(plan, session);
  if (!['app', 'server'].every((kind) => contexts.some((context) => context.kind === kind))) return [];
  const servers = await loadPlannedServers(plan, session);
  const [{ server }] = servers;
  const { settings } = server;
  if (environment.preload.length > 0) return ['no packages are imported ahead: preload names modules that come first'];
  if (settings.reload_preload === 'off') return ['no packages are imported ahead: reload_preload is off'];
  if (contexts.some((each) => each.form === 'factory' && each.target.description.startsWith('listen:'))) {
    return ['the packages of a program are known once it runs: serve --reload -v says what it imports ahead'];
  }
  const boot: WorkerPlan = {
    ...plan,
    servers: [{ name: servers[0].name, scheme: server.scheme, sockets: 1 }],
    envFiles: [...plan.envFiles, ...environment.files],
    variables: configuredVariables(),
    preload: environment.preload,
    workers: 1,
    countRequests: false,
    sticky: undefined,
    reload: true,
    logLevel: 'warn',
    ownership: { user: undefined, group: undefined },
    logFile: undefined,
    inspect: undefined,
    importsOnly: true,
  };
  const preload = new PreloadPlan(silentLogger);
  preload.configure(
    { leaveOut: settings.reload_preload_except, environment: undefined, isReload: true },
    process.env['NODE_OPTIONS'] ?? '',
  );
  let result: string;
  try {
    const prepared = await prepareSpareWorker(boot, preload);
    const names = new Set(prepared?.units.flatMap((unit) => (unit.isKnown ? packageOf(unit.file).name : [])));
    result = `imported ahead: ${names.size > 0 ? [...names].join(', ') : 'none'}`;
  } catch (error) {
    result = `cannot tell which packages are imported ahead: ${errorMessage(error)}`;
  }
  return [...preload.explanations, result];
}

/** Reloads the unchanged application until it gets a spare worker that has imported packages. */
async function prepareSpareWorker(boot: WorkerPlan, preload: PreloadPlan): Promise<Prepared | undefined> {
  const output = openSync(devNull, 'w');
  const pool = new Pool<WorkerPlan>({
    entry: join(OWN_CODE, 'worker.js'),
    settings: { boot, sockets: [], env: { ...process.env }, limits: NO_LIMITS, ...POOL_SETTINGS },
    log: silentLogger,
    execArgv: [],
    output: () => output,
    reload: true,
    preload,
    onWatch: ignore,
    onConfiguration: ignore,
    onPatterns: ignore,
    onReplace: ignore,
    onServes: ignore,
    onAsk: () => new Promise(ignore),
    onReport: ignore,
    onDeath: ignore,
    describeDeath: () => '',
  });
  try {
    await pool.fill(1);
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const ready = pool.spares.nextReady();
      pool.spares.warm();
      const prepared = await Promise.race([ready, sleep(LIMIT_MS, TOO_LATE, { ref: false })]);
      if (prepared === TOO_LATE) throw new Error(`their import has not finished after ${LIMIT_MS / 1000} s`);
      if (!prepared) return undefined;
      const [worker] = await pool.bootAll(1, { oneByOne: false });
      const isUsed = worker !== undefined && pool.spares.hasBegunToImport(worker);
      await pool.swap(worker ? [worker] : []);
      if (isUsed) return prepared;
    }
    throw new Error(`the application could use none of ${MAX_ROUNDS} workers that had imported packages`);
  } finally {
    await pool.stop({ graceful: false, timeout: 0 });
    closeSync(output);
  }
}

const TOO_LATE = Symbol();

const ignore = (): void => {};

const POOL_SETTINGS = { startTimeout: LIMIT_MS / 1000, spareWorkers: 1, drain: 1, exclusive: false };
