/** Filters that admit clients of this machine by address, where a proxy on this machine makes every client one of those. */
import { asList } from '../config/convert.ts';
import { isLoopback } from '../net/address.ts';
import type { Context, FactoryContext } from './context.ts';
import { innerContexts } from './outline.ts';
import { builtinPart } from './paste-names.ts';
import type { LoadSession } from './session.ts';
import { placeOfKey } from './validate.ts';

/** Servers that learn a client's address from the web server itself. */
const GATEWAYS: ReadonlySet<string | undefined> = new Set(['fastcgi', 'scgi', 'cgi']);

/**
 * Warns of each setting of such a filter that no `proxy_headers` or `prefix` is in front of.
 * @param server what the application is served by
 */
export async function warnOfLocalClients(
  app: Context,
  server: Context | undefined,
  session: LoadSession,
): Promise<void> {
  if (server?.form === 'factory' && GATEWAYS.has(builtinPart(server.target.description))) return;
  /** @returns whether the filters so far know the client. */
  const visit = async (context: Context, isKnown: boolean): Promise<boolean> => {
    const name = context.form === 'factory' ? builtinPart(context.target.description) : undefined;
    // What another package's composite is made of is a guess.
    if (context.form === 'factory' && name === undefined) return isKnown;
    const inner = await innerContexts(context);
    if (context.form !== 'factory') {
      let known = isKnown;
      for (const { context: part } of inner) known = await visit(part, known);
      return known;
    }
    for (const { context: part } of inner) await visit(part, isKnown);
    if (!isKnown) warnOf(context, session);
    return isKnown || name === 'proxy_headers' || name === 'prefix';
  };
  await visit(app, false);
}

function warnOf(filter: FactoryContext, session: LoadSession): void {
  const section = filter.sections[0]?.name ?? filter.kind;
  for (const [key, value] of localSettings(filter)) {
    const place = placeOfKey(filter, key);
    if (!place) continue;
    const what = `[${section}] ${value} means every client of a proxy on this machine`;
    session.warn(`${what}: put npm:paster#proxy_headers in front of this filter`, place);
  }
}

/** The keys of a filter's settings that name this machine, each with the address. */
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
