/** Which script of a directory a path leads to: its first segments; what follows them is PATH_INFO. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { pathNames } from '../../http/path-names.ts';
import { percentDecode } from '../../http/percent.ts';
import type { DocumentRoot } from '../document-root.ts';
import type { ScriptTarget } from './script-environ.ts';

const SEGMENT = /(?<!\/)\/+[^/]+/g;

/**
 * @param mount where the directory is mounted, as the client spelled it.
 * @returns the script, or the status to answer with: 404 for what is not there (a name that begins with a dot and a
 *   symbolic link that leads out of the directory are not), 403 for a file that is no program.
 */
export async function findScript(
  root: DocumentRoot,
  path: string,
  mount: string,
): Promise<Omit<ScriptTarget, 'query'> | number> {
  const asked = pathNames(path);
  if ('refused' in asked) return asked.refused;
  const names: string[] = [];
  for (const match of path.matchAll(SEGMENT)) {
    const name = asked.names[names.length] ?? '';
    if (name.startsWith('.')) return 404;
    names.push(name);
    const script = root.join(names);
    const found = await root.find(script);
    if (found === undefined) return 404;
    const stats = await stat(found.real);
    if (stats.isDirectory()) continue;
    if (!stats.isFile()) return 404;
    if (!(await isExecutable(found.real))) return 403;
    const end = match.index + match[0].length;
    return {
      script,
      scriptName: percentDecode(mount + path.slice(0, end)),
      pathInfo: percentDecode(path.slice(end)),
    };
  }
  return 404;
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
