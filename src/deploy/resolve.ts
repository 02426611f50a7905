/** A URI to a context: one resolver a scheme, in schemes/. */
import { nearest } from '../config/nearest.ts';
import { ConfigError, locate } from '../errors.ts';
import { callScheme } from './schemes/call.ts';
import { configScheme } from './schemes/config.ts';
import { connectScheme } from './schemes/connect.ts';
import { eggScheme } from './schemes/egg.ts';
import { moduleScheme } from './schemes/module.ts';
import { npmScheme } from './schemes/npm.ts';
import { parseUri } from './uri.ts';
import type { ResolveUri, Scheme } from './uri-request.ts';

const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ['config', configScheme],
  ['npm', npmScheme],
  ['egg', eggScheme],
  ['call', callScheme],
  ['module', moduleScheme],
  ['connect', connectScheme],
]);

/** @throws ConfigError, with the place of the URI. */
export const resolveUri: ResolveUri = async (text, request) => {
  const uri = parseUri(text);
  const scheme = uri && SCHEMES.get(uri.scheme);
  if (!uri || !scheme) {
    const meant = uri && nearest(uri.scheme, SCHEMES.keys());
    const known = [...SCHEMES.keys()].map((each) => `${each}:`).join(', ');
    throw new ConfigError(
      'PASTER_SCHEME_UNKNOWN',
      uri ? `unknown scheme "${uri.scheme}:" in "${text}"` : `"${text}" has no scheme`,
      { location: request.from, hint: meant ? `did you mean "${meant}:"?` : `known schemes: ${known}` },
    );
  }
  try {
    return await scheme(uri, request.name ?? uri.fragment, request);
  } catch (error) {
    throw locate(error, request.from);
  }
};
