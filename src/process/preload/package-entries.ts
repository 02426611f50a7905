/** The files that the application gets when it imports a package. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { resolve as resolveImport } from 'import-meta-resolve';
import { realPath } from '../../files/existing-path.ts';
import { PACKAGE_ROOT } from '../../own-files.ts';

export type PackageRequest = readonly [specifier: string, directory: string];

/** The files that a specifier resolves to when a module in the directory imports it, and when it requires it. */
export function packageEntries([specifier, directory]: PackageRequest): string[] {
  const found: string[] = [];
  const from = join(directory, 'any.js');
  try {
    const url = resolveImport(specifier, pathToFileURL(from).href);
    if (url.startsWith('file:')) found.push(realPath(fileURLToPath(url)));
  } catch {
    // It may be there for `require` only, or not at all.
  }
  try {
    found.push(createRequire(from).resolve(specifier));
  } catch {
    // As above.
  }
  return found;
}

const PROGRAM = `
import { readFileSync } from 'node:fs';
import { packageEntries } from ${JSON.stringify(pathToFileURL(join(PACKAGE_ROOT, 'dist/process/preload/package-entries.js')))};
process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(packageEntries)));
`;

/** The same for several requests whose manifests have changed: this process would go on with what it has read first. */
export function entriesInNewProcess(requests: readonly PackageRequest[]): readonly (readonly string[])[] {
  const env = { ...process.env, NODE_OPTIONS: '' };
  const how = { input: JSON.stringify(requests), env, encoding: 'utf8' } as const;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', PROGRAM], how);
  return status === 0 ? JSON.parse(stdout) : [];
}
