/** Finds the files behind the commands of installed packages, such as `strapi` or `next`. */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * The JavaScript file that a command of a script runs, by a path that stays when the package is upgraded: pnpm's real
 * paths contain versions.
 */
export function commandFile(directory: string, command: string, dependencies: readonly string[]): string | undefined {
  const file = declaredFile(directory, command, dependencies) ?? linkedFile(directory, command);
  if (file === undefined || !existsSync(file)) return undefined;
  const isJavaScript = /\.[cm]?js$/.test(file) || /^#!.*\bnode\b/.test(readFileSync(file, 'utf8').slice(0, 80));
  return isJavaScript ? file : undefined;
}

/** A file of a package, in the nearest node_modules that has the package. */
export function packageFile(directory: string, path: string): string {
  for (let at = directory; ; at = dirname(at)) {
    const file = join(at, 'node_modules', path);
    if (existsSync(file)) return file;
    if (at === dirname(at)) return join(directory, 'node_modules', path);
  }
}

/** The file that a dependency declares for a command. */
function declaredFile(directory: string, command: string, dependencies: readonly string[]): string | undefined {
  for (const dependency of dependencies) {
    const manifest = packageFile(directory, `${dependency}/package.json`);
    if (!existsSync(manifest)) continue;
    const { bin } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly bin?: unknown };
    const commands = typeof bin === 'string' ? { [basename(dependency)]: bin } : Object(bin);
    const file: unknown = Object.hasOwn(commands, command) ? commands[command] : undefined;
    if (typeof file === 'string') return join(dirname(manifest), file);
  }
  return undefined;
}

/** The file that npm links for the command of a package that is not a direct dependency. */
function linkedFile(directory: string, command: string): string | undefined {
  const link = packageFile(directory, `.bin/${command}`);
  return existsSync(link) ? realpathSync(link) : undefined;
}
