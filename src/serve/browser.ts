/** `--open`: shows the server in the browser of whoever sits at this machine. */
import { spawn } from 'node:child_process';
import type { Logger } from '../log.ts';
import type { Address } from '../net/address.ts';
import { browserUrl } from './announce.ts';

/** Nothing comes of it where there is no browser: that is no reason not to serve. */
export function openBrowser(scheme: string, addresses: readonly Address[], log: Logger): void {
  const url = browserUrl(scheme, addresses);
  if (url === undefined) {
    log.warn('--open: a browser cannot connect to what this server listens on');
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
