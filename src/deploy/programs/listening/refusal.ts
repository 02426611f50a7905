/** Refuses ports that an application opens although paster serves it: requests to them would bypass the filters of the INI file. */
import { Server as NetServer } from 'node:net';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, formatError } from '../../../errors.ts';
import type { Logger } from '../../../log.ts';
import { isOwnFile } from '../../../own-files.ts';
import { formatRequested, type RequestedAddress } from '../children/listen-call.ts';
import {
  awaitsHandlers,
  handlesHttp,
  isHotReloadServer,
  type ListenPolicy,
  replaceListen,
  setDefaultPolicy,
  withPolicy,
} from './policy.ts';

/** Code of an application, which may not listen. */
export interface LoadedCode {
  /** What the paths of the INI file are relative to. */
  readonly directory: string;
  /** The application's module, if it is one of the project. */
  readonly file?: string | undefined;
}

/** Lets no HTTP server of an application open its port, except that of Vite's hot reload. */
class ListenRefusal implements ListenPolicy {
  readonly #code: LoadedCode;
  readonly #refused: (error: ConfigError) => void;

  constructor(code: LoadedCode, refused: (error: ConfigError) => void) {
    this.#code = code;
    this.#refused = refused;
  }

  listen(server: NetServer, requested: RequestedAddress): boolean {
    if (!handlesHttp(server) && !awaitsHandlers(server)) return false;
    if (isHotReloadServer(server, NetServer.prototype.listen)) return false;
    const location = callerOutsidePackages();
    this.#refused(
      new ConfigError('PASTER_LISTENS', `calls listen() on ${formatRequested(requested)} by itself`, {
        location,
        hint: `write use = listen:${this.#program(location?.file)}, or export the application without calling listen()`,
      }),
    );
    return true;
  }

  /** The program's path, as an INI file would name it. */
  #program(calling: string | undefined): string {
    const { directory, file = calling } = this.#code;
    if (file === undefined) return 'FILE';
    const path = relative(directory, file).replaceAll('%', '%%');
    return path.startsWith('../') ? path : `./${path}`;
  }
}

/** Runs code that must not listen. @throws ConfigError if it does, also where the application catches nothing */
export async function refuseListening<T>(code: LoadedCode, run: () => Promise<T>): Promise<T> {
  replaceListen();
  let refusal: ConfigError | undefined;
  let refuse: (error: ConfigError) => void = () => {};
  const refused = new Promise<never>((_resolve, reject) => {
    refuse = reject;
  });
  const policy = new ListenRefusal(code, (error) => {
    refusal ??= error;
    refuse(error);
  });
  const result = await withPolicy(policy, () => Promise.race([run(), refused])).catch((error: unknown) => {
    throw refusal ?? error;
  });
  if (refusal) throw refusal;
  return result;
}

/** From now on, a port that an application opens when it has been loaded is reported and not opened. */
export function refuseListeningLater(directory: string, log: Logger): void {
  replaceListen();
  setDefaultPolicy(new ListenRefusal({ directory }, (error) => log.error(formatError(error))));
}

interface CallSite {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

const FRAME = /^\s+at (?:async )?(?:.*\()?((?:file:\/\/)?\/[^()]+):(\d+):(\d+)\)?$/;

/** The innermost call in the application's own code: outside of Node, of paster, and of packages. */
function callerOutsidePackages(): CallSite | undefined {
  const holder: { stack?: string } = {};
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 30;
  Error.captureStackTrace(holder, NetServer.prototype.listen);
  Error.stackTraceLimit = stackTraceLimit;
  for (const line of holder.stack?.split('\n') ?? []) {
    const [, file, row, column] = FRAME.exec(line) ?? [];
    if (file === undefined || file.includes('/node_modules/')) continue;
    const path = file.startsWith('file://') ? fileURLToPath(file) : file;
    if (!isOwnFile(path)) return { file: path, line: Number(row), column: Number(column) };
  }
  return undefined;
}
