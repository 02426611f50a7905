/** `npm:package#name`: an entry point that an npm package declares. */
import { findEntryPoint, findPackage } from '../entry-points.ts';
import { type Scheme, uriContext } from '../uri-request.ts';

export const npmScheme: Scheme = async (uri, name, request) => {
  const { relativeTo, session } = request;
  const info = await session.package(`npm:${uri.path} ${relativeTo}`, () => findPackage(uri.path, relativeTo));
  const { group, target } = findEntryPoint(info, request.kind, name ?? 'main', 'npm', request.from);
  return uriContext(request, { protocol: group, target, packageName: uri.path });
};
