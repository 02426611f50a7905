/** `egg:Package#name`: Paste's way to write `npm:`, with Paste's own names meaning paster's built-in parts. */
import { nearest } from '../../config/nearest.ts';
import { ConfigError } from '../../errors.ts';
import { findDistribution, findEntryPoint } from '../entry-points.ts';
import { findLeftOut } from '../paste-left-out.ts';
import { namesOfDistribution, type PasteName } from '../paste-names.ts';
import { type Scheme, uriContext } from '../uri-request.ts';

export const eggScheme: Scheme = async (uri, name, request) => {
  const paste = pasteName(uri.path, name ?? 'main');
  const { relativeTo, session } = request;
  const distribution = paste ? 'paster' : uri.path;
  const info = await session.package(`egg:${distribution} ${relativeTo}`, () =>
    findDistribution(distribution, relativeTo),
  );
  const { group, target } = findEntryPoint(info, request.kind, paste?.builtin ?? name ?? 'main', 'egg', request.from);
  return uriContext(request, {
    protocol: group,
    target: { ...target, description: uri.text },
    packageName: info.name,
    ...(paste?.implied ? { implied: paste.implied } : {}),
  });
};

/** The built-in part behind one of Paste's own names; undefined for other people's packages. */
function pasteName(distribution: string, name: string): PasteName | undefined {
  const names = namesOfDistribution(distribution);
  if (!names) return undefined;
  const found = Object.hasOwn(names, name) ? names[name] : undefined;
  if (!found) {
    const leftOut = findLeftOut(distribution, name);
    if (leftOut) {
      throw new ConfigError('PASTER_EGG_LEFT_OUT', `egg:${distribution}#${name} is left out: ${leftOut.reason}`, {
        hint: `instead: ${leftOut.instead}`,
      });
    }
    const known = Object.keys(names);
    const meant = nearest(name, known);
    throw new ConfigError('PASTER_EGG_UNSUPPORTED', `paster has nothing for egg:${distribution}#${name}`, {
      hint: meant ? `did you mean "${meant}"?` : `of ${distribution} it has: ${known.join(', ') || 'nothing'}`,
    });
  }
  return found;
}
