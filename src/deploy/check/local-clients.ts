/** Warns of filters that admit local clients by address behind a local proxy, where every client seems to be local. */
import { asList } from '../../config/settings/convert.ts';
import { isLoopback } from '../../net/address.ts';
import type { Context, FactoryContext } from '../context.ts';
import { placeOfKey } from '../context.ts';
import { innerContexts } from '../inspect/outline.ts';
import { builtinPart } from '../modules/paste-names.ts';
import type { LoadSession } from '../session.ts';

/** Servers that get the client's address from the web server. */
const GATEWAYS: ReadonlySet<string | undefined> = new Set(['fastcgi', 'scgi', 'cgi']);

/**
 * Warns of each setting of such a filter unless `proxy_headers` or `prefix` is in front of it.
 * @param servers those of the application
 */
export async function warnOfLocalClients(
  app: Context,
  servers: readonly Context[],
  session: LoadSession,
): Promise<void> {
  if (servers.length > 0 && servers.every(isGateway)) return;
  /** @returns whether the filters so far determine the client's address. */
  const visit = async (context: Context, isKnown: boolean): Promise<boolean> => {
    const name = context.form === 'factory' ? builtinPart(context.target.description) : undefined;
    // The parts of another package's composite can only be guessed.
    if (context.form === 'factory' && name === undefined) return isKnown;
    const inner = await innerContexts(context);
    if (context.form !== 'factory') {
      let known = isKnown;
      for (const { context: part } of inner) known = await visit(part, known);
      return known;
    }
    for (const { context: part } of inner) await visit(part, isKnown);
    if (!isKnown) warnOfLocalAddresses(context, session);
    return isKnown || name === 'proxy_headers' || name === 'prefix';
  };
  await visit(app, false);
}

function isGateway(server: Context): boolean {
  return server.form === 'factory' && GATEWAYS.has(builtinPart(server.target.description));
}

function warnOfLocalAddresses(filter: FactoryContext, session: LoadSession): void {
  const section = filter.sections[0]?.name ?? filter.kind;
  for (const [key, value] of localSettings(filter)) {
    const place = placeOfKey(filter, key);
    if (!place) continue;
    const what = `[${section}] ${value} means every client of a proxy on this machine`;
    session.warn(`${what}: put npm:paster#proxy_headers in front of this filter`, place);
  }
}

/** The keys of a filter's settings that name loopback addresses, each with the address. */
function localSettings({ localConf, target }: FactoryContext): [key: string, address: string][] {
  const words = (key: string): [string, string][] =>
    asList((localConf[key] ?? '').replaceAll(',', ' ')).map((word) => [key, word]);
  const found: [string, string][] = [];
  const name = builtinPart(target.description);
  if (name === 'maintenance') found.push(...words('allow'));
  if (name === 'grantip')
    found.push(...words('grant'), ...Object.keys(localConf).map((key): [string, string] => [key, key]));
  return found.filter(([, address]) => isLoopback(address.replace(/\/\d+$/, '')));
}
