/** Tells people, and scripts that wait, that a server is ready. */
import { spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import type { Logger } from '../log.ts';
import type { ServerIdentity } from '../metrics/server-status.ts';
import { type Address, type Endpoint, formatAddress } from '../net/address.ts';
import { addressOfDescriptor } from '../net/inherited-sockets.ts';
import { printableLine } from '../printable.ts';
import type { ServePlan } from './plan.ts';
import { fromHere } from './terminal/shown-text.ts';

/** What a process serves, for its title: the INI file, or the URI of the application. */
export function servedName({ file, appUri }: Pick<ServePlan, 'file' | 'appUri'>): string {
  return file === undefined ? appUri : fromHere(file);
}

/** `http://127.0.0.1:8080`, `fastcgi://unix:/path`, `fastcgi://host:port`. */
export function listenerUrl({ scheme, address }: Endpoint): string {
  const known = address.kind === 'fd' ? (addressOfDescriptor(address.fd) ?? address) : address;
  return `${scheme}://${formatAddress(known)}`;
}

/** The URL of the first address that a browser on this machine can open. "Every address" becomes `localhost`. */
function browserUrl(endpoints: readonly Endpoint[]): string | undefined {
  for (const { scheme, address } of endpoints) {
    if (!isWeb(scheme) || address.kind !== 'tcp') continue;
    return listenerUrl({ scheme, address: isWildcard(address) ? { ...address, host: 'localhost' } : address });
  }
  return undefined;
}

/** Whether browsers speak the protocol. */
export function isWeb(scheme: string): boolean {
  return scheme === 'http' || scheme === 'https';
}

export function isWildcard(address: Address): boolean {
  return address.kind === 'tcp' && (address.host === '0.0.0.0' || address.host === '::');
}

/**
 * Scripts read the first two kinds of lines, so these never change. If the server listens on every address, a line for people
 * names a URL to open, as Paste's does.
 */
export function announcement(pid: number, endpoints: readonly Endpoint[]): string[] {
  const web = endpoints.filter(({ scheme }) => isWeb(scheme));
  const url = web.every(({ address }) => isWildcard(address)) ? browserUrl(web) : undefined;
  return [
    `Starting server in PID ${pid}.`,
    ...endpoints.map((endpoint) => printableLine(`serving on ${listenerUrl(endpoint)}`)),
    ...(url === undefined ? [] : [`view at ${url}`]),
  ];
}

/** `--open`. Where there is no browser, a line of the log says so. */
export function openBrowser(endpoints: readonly Endpoint[], log: Logger): void {
  const url = browserUrl(endpoints);
  if (url === undefined) {
    log.warn('--open: a browser cannot connect to the addresses of this server');
    return;
  }
  const program = process.platform === 'darwin' ? 'open' : 'xdg-open';
  const child = spawn(program, [url], { stdio: 'ignore', detached: true });
  child.once('error', () => log.info(`--open: there is no ${program} here; open ${url} yourself`));
  child.once('exit', (status) => {
    if (status !== 0) log.info(`--open: ${program} found no browser; open ${url} yourself`);
  });
  child.unref();
}

/** What a status page says the server is. */
export function serverIdentity(
  { directory, file }: Pick<ServePlan, 'directory' | 'file'>,
  endpoints: readonly Endpoint[],
): ServerIdentity {
  return { listeners: endpoints.map(listenerUrl), directory, release: realDirectory(directory), file };
}

function realDirectory(directory: string): string {
  try {
    return realpathSync(directory);
  } catch {
    // It may have been removed since the start.
    return directory;
  }
}
