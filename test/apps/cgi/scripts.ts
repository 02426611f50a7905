/** Serves CGI scripts by a real HTTP server. */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { type CgiOptions, cgiBin } from '../../../src/apps/cgi/cgi.ts';
import { mountRequest } from '../../../src/http/mount.ts';
import { lineLogger } from '../../../src/log.ts';
import type { App } from '../../../src/protocol/types.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { serveApp } from '../static/serve.ts';

export const ENV = '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\n"\nenv\n';
export const node = (text: string): string => `#!${process.execPath}\n${text}`;

/** A directory with scripts that may be executed. */
export function scripts(texts: Readonly<Record<string, string>>): string {
  const directory = temporaryDirectory(texts);
  for (const name of Object.keys(texts)) chmodSync(join(directory, name), 0o755);
  return directory;
}

type Served = Awaited<ReturnType<typeof serveApp>> & { log: string[]; directory: string };

export const mounted =
  (prefix: string, app: App): App =>
  (req, res) => {
    mountRequest(req, prefix.length);
    return app(req, res);
  };

/** A directory of scripts, mounted at /cgi-bin. */
export async function bin(texts: Readonly<Record<string, string>>, options: CgiOptions = {}): Promise<Served> {
  const directory = scripts(texts);
  const log: string[] = [];
  const app = cgiBin({ directory, log: lineLogger('info', (line) => log.push(line)), ...options });
  const front = mounted('/cgi-bin', app);
  front.close = () => app.close?.();
  return Object.assign(await serveApp(front), { log, directory });
}

/** Serves one script whose response is parsed as the output of `env`. */
export async function environ(
  target: string,
  headers: Readonly<Record<string, string>> = {},
  options: CgiOptions = {},
): Promise<Record<string, string>> {
  const { ask } = await bin({ env: ENV }, options);
  const { body } = await ask(target, headers);
  return Object.fromEntries(
    body
      .toString()
      .split('\n')
      .map((line) => line.split(/=(.*)/s).slice(0, 2)),
  );
}
