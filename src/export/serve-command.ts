/** The command line that serves a deployment: on this machine, or in a container that others connect to by HTTP. */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { PACKAGE_ROOT } from '../own-files.ts';
import type { Deployment } from './deployment.ts';

const PASTER = 'bin/paster.js';

/** Node, paster - the project's own, if it has one - and what `serve` is told. */
export function commandHere(deployment: Deployment): string[] {
  const own = join(deployment.project, 'node_modules/paster', PASTER);
  const { names, caller, file } = deployment;
  const sections = [
    ...(names.app === undefined ? [] : ['-n', names.app]),
    ...(names.server === undefined ? [] : ['--server-name', names.server]),
  ];
  return [process.execPath, existsSync(own) ? own : join(PACKAGE_ROOT, PASTER), 'serve', ...sections, file, ...caller];
}

/** Where a container has the project. */
export const CONTAINER_HOME = '/app';

export interface ContainerCommand {
  readonly command: readonly string[];
  readonly port: number;
  readonly scheme: 'http' | 'https';
  /** Seconds that it takes to finish its requests. */
  readonly gracefulTimeout: number;
}

const CONTAINER_PORT = 8080;
/**
 * Probes and an Ingress speak HTTP to a port. A section that speaks it goes on to say everything but where; the place of
 * any other is taken by `serve -s http`, with as many workers and as long a drain.
 */
export function commandInContainer(deployment: Deployment): ContainerCommand {
  const { names, caller, file, project, scheme, backends, settings } = deployment;
  const isHttp = (scheme === 'http' || scheme === 'https') && !deployment.http2Only;
  const tcp = backends.find((each) => each.kind === 'tcp');
  const port = isHttp && tcp && tcp.port >= 1024 ? tcp.port : CONTAINER_PORT;
  const section = names.server === undefined ? [] : ['--server-name', names.server];
  const workers = settings.workers === undefined ? [] : ['--workers', String(settings.workers)];
  const drain = ['--graceful-timeout', String(settings.graceful_timeout)];
  const command = [
    'node',
    `node_modules/paster/${PASTER}`,
    'serve',
    ...(names.app === undefined ? [] : ['-n', names.app]),
    ...(isHttp ? section : ['-s', 'http', ...workers, ...drain]),
    ...['--host', '0.0.0.0', '--port', String(port)],
    relative(project, file),
    ...caller,
  ];
  return {
    command,
    port,
    scheme: isHttp && scheme === 'https' ? 'https' : 'http',
    gracefulTimeout: Math.ceil(settings.graceful_timeout),
  };
}
