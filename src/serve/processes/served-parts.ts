/** Which parts of an INI file run: its web server, and the background processes and tasks that the command line chooses. */
import { nearest } from '../../config/nearest.ts';
import { loadServer } from '../../deploy/load.ts';
import { namesOfKind, WEB } from '../../deploy/part-kinds.ts';
import { SectionScope } from '../../deploy/sections/section-scope.ts';
import type { NamedServers } from '../../deploy/server/server-group.ts';
import { LoadSession } from '../../deploy/session.ts';
import { RunError, UsageError } from '../../errors.ts';
import { plannedServerNames, type ServePlan } from '../plan.ts';

export interface ServedParts {
  readonly web: boolean;
  /** The names of `[process:*]` sections. */
  readonly processes: readonly string[];
  /** The names of `[task:*]` sections. */
  readonly tasks: readonly string[];
}

/**
 * All that the file has, as far as `--only` and `--without` choose it. A file with background processes or tasks and without a server runs
 * these alone.
 * @throws UsageError for a name that is not in the file
 */
export async function servedParts(plan: ServePlan, session: LoadSession): Promise<ServedParts> {
  const { file, selection = {}, serverUri } = plan;
  const sections = file === undefined ? [] : [...(await session.read(file)).sections.keys()];
  const processes = namesOfKind(sections, 'process');
  const tasks = namesOfKind(sections, 'task');
  const background = [...processes, ...tasks];
  checkNames(plan, background);
  const { only, without = [] } = selection;
  const isChosen = (name: string) => (only === undefined || only.includes(name)) && !without.includes(name);
  const [serverName] = await plannedServerNames(plan, session);
  const isNamed = serverName !== undefined || !serverUri.startsWith('config:') || only?.includes(WEB) === true;
  const hasServer = isNamed || background.length === 0 || namesOfKind(sections, 'server').includes('main');
  const chosen = {
    web: hasServer && isChosen(WEB),
    processes: processes.filter(isChosen),
    tasks: tasks.filter(isChosen),
  };
  if (chosen.web || chosen.processes.length + chosen.tasks.length > 0) return chosen;
  throw new UsageError('PASTER_USAGE', 'serve: --only and --without leave nothing to run', {
    hint: `there are: ${[WEB, ...background].join(', ')}`,
  });
}

/**
 * The error for a command about a process that this server does not run.
 * @param running the names of those that it runs
 */
export async function noSuchProcess(
  { file, selection: { only, without } = {}, globalConf }: ServePlan,
  name: string,
  running: readonly string[],
): Promise<RunError> {
  const session = new LoadSession(globalConf);
  // If the file has errors by now, the server runs nevertheless.
  const document = file === undefined ? undefined : await session.read(file).catch(() => undefined);
  const written = namesOfKind(document?.sections.keys() ?? [], 'process');
  const option = only?.includes(name) === false ? '--only' : without?.includes(name) === true ? '--without' : undefined;
  if (option !== undefined && written.includes(name)) {
    return new RunError('PASTER_PROCESS', `[process:${name}] is not served: ${option} leaves it out`, {
      hint: 'this holds until the server is restarted with other options',
    });
  }
  if (name === WEB) {
    return new RunError('PASTER_PROCESS', `"${WEB}" is the web server, not a process`, {
      hint: 'paster control CONFIG stop ends the server with all its processes; serve --without web leaves the web server out',
    });
  }
  if (namesOfKind(document?.sections.keys() ?? [], 'task').includes(name)) {
    return new RunError('PASTER_PROCESS', `"${name}" is a task, which runs by its schedule`, {
      hint: `paster run CONFIG ${name} runs it now; serve --without ${name} leaves it out`,
    });
  }
  const names = running.length > 0 ? running : written;
  return new RunError('PASTER_PROCESS', `there is no process "${name}" in server ${process.pid}`, {
    hint: names.length > 0 ? `there are: ${names.join(', ')}` : 'the INI file has no [process:...] section',
  });
}

function checkNames(
  { file, selection: { only = [], without = [] } = {} }: ServePlan,
  processes: readonly string[],
): void {
  const known = [WEB, ...processes];
  for (const [option, names] of [
    ['only', only],
    ['without', without],
  ] as const) {
    const unknown = names.find((name) => !known.includes(name));
    if (unknown === undefined) continue;
    if (file === undefined)
      throw new UsageError('PASTER_USAGE', `--${option} names sections, but there is no INI file`);
    const meant = nearest(unknown, known);
    throw new UsageError('PASTER_USAGE', `--${option}: there is no section [process:${unknown}] or [task:${unknown}]`, {
      hint: meant === undefined ? `there are: ${known.join(', ')}` : `did you mean "${meant}"?`,
    });
  }
}

/** For a file whose background processes run alone: a server that is never opened, with what [DEFAULT] says. */
export async function loadServerWithoutSocket({ file = '' }: ServePlan, session: LoadSession): Promise<NamedServers> {
  const document = await session.read(file);
  const scope = new SectionScope(document, session.callerGlobals, undefined, (error, entry) =>
    session.report(error, entry),
  );
  return [{ name: 'main', server: await loadServer('npm:paster#http', { globalConf: scope.defaults() }, session) }];
}
