/**
 * Runs paster's own part of a start in a spare worker: an application of paster's is loaded, served to one client and
 * closed, from a configuration that is in no file. Node compiles a function when it is first called, and the first call
 * takes several times as long as the next one: the start that a developer waits for should not be the first.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseIni } from '../../config/ini/ini.ts';
import { LoadSession } from '../../deploy/session.ts';
import { silentLogger } from '../../log.ts';
import { openListener } from '../../net/listener.ts';
import type { Running } from '../../protocol/types.ts';
import { newDevelopment, nextVersion } from '../development/development.ts';
import {
  loadPlannedApp,
  loadPlannedServers,
  plannedAppContext,
  reloadPatterns,
  type ServePlan,
  servedContexts,
} from '../plan.ts';

/** Read by nothing: the session has the document. */
const FILE = '/rehearsal.ini';

const REQUESTS = [
  'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nSec-Fetch-Dest: document\r\nConnection: close\r\n\r\n',
];

class RehearsalSession extends LoadSession {
  readonly #document: ReturnType<typeof parseIni>;

  constructor(type: string) {
    super();
    this.#document = parseIni(`[app:main]\nuse = npm:paster#test\n[server:main]\nuse = npm:paster#${type}\n`, FILE);
  }

  override async read() {
    return this.#document;
  }
}

/**
 * @param isAwaited whether this worker has to load an application now: then the rehearsal ends early
 * @throws if there is no directory for a socket
 */
export async function rehearse(
  { scheme, reload }: { readonly scheme: string; readonly reload: boolean },
  isAwaited: () => boolean,
): Promise<void> {
  const type = scheme === 'https' ? 'http' : scheme;
  const session = new RehearsalSession(type);
  const plan: ServePlan = {
    appUri: `config:${FILE}`,
    appName: undefined,
    serverUri: `config:${FILE}`,
    serverNames: [],
    directory: '/',
    globalConf: {},
    overrides: {},
    file: FILE,
    envFiles: [],
  };
  const [{ server }] = await loadPlannedServers(plan, session);
  reloadPatterns(await servedContexts(plan, session), plan.directory);
  if (isAwaited()) return;
  const development = nextVersion(newDevelopment(), reload);
  const context = await plannedAppContext(plan, session);
  const app = await loadPlannedApp({ reload, development }, context);
  if (type !== 'http' || isAwaited()) return;
  const directory = mkdtempSync(join(tmpdir(), 'paster-'));
  try {
    const path = join(directory, 'socket');
    const open = async () => [await openListener({ kind: 'unix', path })];
    const running = await server.serveOn(app, open, { log: silentLogger, isFirst: false, context });
    await request(path, running);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function request(path: string, running: Running): Promise<void> {
  const client: Socket = connect(path);
  try {
    for (const text of REQUESTS) {
      client.write(text);
      await once(client, 'data');
    }
    await once(client, 'close');
  } finally {
    client.destroy();
    await running.close({ graceful: false, timeout: 0 });
  }
}
