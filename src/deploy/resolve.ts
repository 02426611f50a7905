/** A URI to a context: one resolver a scheme, in schemes/. */
import { nearest } from '../config/nearest.ts';
import { ConfigError, locate } from '../errors.ts';
import { callScheme } from './schemes/call.ts';
import { configScheme } from './schemes/config.ts';
import { moduleScheme } from './schemes/module.ts';
import { parseUri } from './uri.ts';
import type { ResolveUri, Scheme } from './uri-request.ts';

/** What not every INI file has is imported only when one does: modules that are waited for in turn are dear. */
const SCHEMES: ReadonlyMap<string, () => Promise<Scheme>> = new Map([
  ['config', async () => configScheme],
  ['npm', async () => (await import('./schemes/npm.ts')).npmScheme],
  ['egg', async () => (await import('./schemes/egg.ts')).eggScheme],
  ['call', async () => callScheme],
  ['module', async () => moduleScheme],
  ['connect', async () => (await import('./schemes/connect.ts')).connectScheme],
]);

/** @throws ConfigError, with the place of the URI. */
export const resolveUri: ResolveUri = async (text, request) => {
  try {
    const uri = parseUri(text);
    const load = uri && SCHEMES.get(uri.scheme);
    if (!uri || !load) throw unknownScheme(text, uri?.scheme);
    const scheme = await load();
    return await scheme(uri, request.name ?? uri.fragment, request);
  } catch (error) {
    throw locate(error, request.from, request.trail.at(-1)?.name);
  }
};

function unknownScheme(text: string, scheme: string | undefined): ConfigError {
  const meant = scheme === undefined ? undefined : nearest(scheme, SCHEMES.keys());
  const known = [...SCHEMES.keys()].map((each) => `${each}:`).join(', ');
  return new ConfigError(
    'PASTER_SCHEME_UNKNOWN',
    scheme === undefined ? `"${text}" has no scheme` : `unknown scheme "${scheme}:" in "${text}"`,
    { hint: meant ? `did you mean "${meant}:"?` : `known schemes: ${known}` },
  );
}
