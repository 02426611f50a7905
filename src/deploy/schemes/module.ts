/** `module:./server.js#name`: a part that is ready made; nothing is called. */
import { exportTarget } from '../module-target.ts';
import { type Scheme, uriContext } from '../uri-request.ts';

export const moduleScheme: Scheme = async (uri, name, request) => {
  const target = exportTarget(uri.path, name ?? 'default', request.relativeTo, request.from, uri.text);
  return uriContext(request, { protocol: 'object', target });
};
