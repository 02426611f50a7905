/** `connect:package#name`: a factory of Connect middleware that takes one options object. */
import { ConfigError } from '../../errors.ts';
import { exportTarget } from '../module-target.ts';
import { type Scheme, uriContext } from '../uri-request.ts';

export const connectScheme: Scheme = async (uri, name, request) => {
  if (request.kind !== 'filter') {
    throw new ConfigError('PASTER_CONNECT_KIND', `connect: makes filters, not a part of kind "${request.kind}"`, {
      hint: 'use it in a [filter:...] section',
    });
  }
  const target = exportTarget(uri.path, name ?? 'default', request.relativeTo, request.from, uri.text);
  return uriContext(request, { protocol: 'connect', target });
};
