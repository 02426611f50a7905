/** What `serve` shows at a terminal when it is ready: its addresses and what it serves, instead of the lines for scripts. */
import { networkInterfaces } from 'node:os';
import { normalize } from 'node:path';
import type { Paint } from '../../diagnostics/paint.ts';
import { type Address, type Endpoint, isLoopback } from '../../net/address.ts';
import { ownVersion } from '../../own-files.ts';
import { printableLine } from '../../printable.ts';
import { isWeb, isWildcard, listenerUrl } from '../announce.ts';
import type { ServePlan } from '../plan.ts';
import { fromHere, shownTime } from './shown-text.ts';

export interface BannerFacts {
  readonly plan: Pick<ServePlan, 'file' | 'appUri'>;
  readonly isDevelopment: boolean;
  readonly reload: boolean;
  /** A number or a range. Undefined: one process without workers. */
  readonly workers: string | undefined;
  /** The last line, such as a key to press. */
  readonly hint: string | undefined;
}

/** An address for people: what kind it is, and a URL or, without one, what to do to get one. */
export interface ShownAddress {
  readonly label: 'Local' | 'Network' | 'Socket';
  readonly url?: string;
  readonly note?: string;
}

const LABEL_WIDTH = 'Network:'.length;

/** The lines that are shown when the server is ready. */
export function bannerLines(facts: BannerFacts, addresses: readonly ShownAddress[], paint: Paint): string[] {
  const { plan, hint } = facts;
  const version = paint('green', `${paint('bold', 'paster')} ${ownVersion()}`);
  const ready = paint('dim', `ready in ${shownTime(performance.now())}`);
  const [label, application] = plan.file === undefined ? ['App', plan.appUri] : ['Config', fromHere(plan.file)];
  return [
    '',
    `  ${version}  ${ready}`,
    '',
    ...addressLines(addresses, paint),
    row(label, paint('dim', printableLine(application)), paint),
    row('Mode', paint('dim', modeOf(facts)), paint),
    ...(hint === undefined ? [] : [`  ${paint('green', '➜')}  ${paint('dim', hint)}`]),
    '',
  ];
}

/** A line for each address. */
export function addressLines(addresses: readonly ShownAddress[], paint: Paint): string[] {
  return addresses.map(({ label, url, note = '' }) =>
    row(label, url === undefined ? paint('dim', note) : paint('cyan', printableLine(url)), paint),
  );
}

/**
 * The addresses as URLs that can be opened: "every address" becomes `localhost` and this machine's own addresses.
 * @param saysHow whether to say how others can reach a server that only this machine can
 */
export function shownAddresses(endpoints: readonly Endpoint[], saysHow: boolean): ShownAddress[] {
  const shown = endpoints.flatMap(({ scheme, address }): ShownAddress[] => {
    if (!isWeb(scheme) || address.kind !== 'tcp') {
      return [{ label: 'Socket', url: listenerUrl({ scheme, address: normalized(address) }) }];
    }
    if (!isWildcard(address)) {
      return [{ label: isLoopback(address.host) ? 'Local' : 'Network', url: listenerUrl({ scheme, address }) }];
    }
    const at = (host: string) => listenerUrl({ scheme, address: { ...address, host } });
    return [
      { label: 'Local', url: at('localhost') },
      ...ownHosts().map((host): ShownAddress => ({ label: 'Network', url: at(host) })),
    ];
  });
  const isLocalOnly = shown.length > 0 && shown.every(({ label }) => label === 'Local');
  return saysHow && isLocalOnly ? [...shown, { label: 'Network', note: 'use --host 0.0.0.0 to expose' }] : shown;
}

function normalized(address: Address): Address {
  return address.kind === 'unix' ? { ...address, path: normalize(address.path) } : address;
}

/** The IPv4 addresses of this machine that others can reach. */
function ownHosts(): string[] {
  return Object.values(networkInterfaces()).flatMap((each = []) =>
    each.filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address),
  );
}

function modeOf({ isDevelopment, reload, workers }: BannerFacts): string {
  const processes = workers === undefined ? [] : [workers === '1' ? '1 worker' : `${workers} workers`];
  const mode = isDevelopment ? 'development' : 'production';
  return [mode, ...(reload ? ['reload'] : []), ...processes, `PID ${process.pid}`].join(' · ');
}

function row(label: string, value: string, paint: Paint): string {
  return `  ${paint('green', '➜')}  ${paint('bold', `${label}:`.padEnd(LABEL_WIDTH))} ${value}`;
}
