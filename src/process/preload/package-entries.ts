/** The files that the application gets when it imports a package. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { resolve as resolveImport } from 'import-meta-resolve';
import { realPath } from '../../files/existing-path.ts';
import { PACKAGE_ROOT } from '../../own-files.ts';

type PackageRequest = readonly [specifier: string, directory: string];

/**
 * The files that a specifier resolves to when a module in the directory imports it, and when it requires it. Exported for
 * `PROGRAM`, which another process runs.
 */
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

/** The same for several requests whose manifests have changed: Node would go on using what it has read first in this process. */
function entriesInNewProcess(requests: readonly PackageRequest[]): readonly (readonly string[])[] {
  const env = { ...process.env, NODE_OPTIONS: '' };
  const how = { input: JSON.stringify(requests), env, encoding: 'utf8' } as const;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', PROGRAM], how);
  return status === 0 ? JSON.parse(stdout) : [];
}

export class PackageEntries {
  /** The files that requests lead to, by their text. */
  readonly #entries = new Map<string, readonly string[]>();
  /** All requests so far. */
  readonly #requests = new Map<string, PackageRequest>();
  /** What manifests said when they were read first. Node keeps that for as long as this process runs. */
  readonly #manifests = new Map<string, string>();

  /** The files that a specifier of a package leads to, if it is imported and if it is required. None if the package is missing. */
  of(specifier: string, from: string): readonly string[] {
    const request: PackageRequest = [specifier, dirname(from)];
    const key = request.join('\n');
    const known = this.#entries.get(key);
    if (known) return known;
    if (!this.#isSame(request)) {
      this.#resolveAgain(key, request);
      return this.#entries.get(key) ?? [];
    }
    const entries = packageEntries(request);
    // A package that is missing may be installed at any time.
    if (entries.length > 0) this.#entries.set(key, entries);
    this.#requests.set(key, request);
    return entries;
  }

  /** Whether the manifests lead to the same files as when they were read first. */
  #isSame(request: PackageRequest): boolean {
    return manifestsOf(request).every((manifest) => {
      const now = targets(manifest);
      if (now === undefined) return true;
      const first = this.#manifests.get(manifest) ?? now;
      this.#manifests.set(manifest, first);
      return now === first;
    });
  }

  /** Resolves a request in another process, and with it all others that would need such a process later. */
  #resolveAgain(key: string, request: PackageRequest): void {
    this.#requests.set(key, request);
    const changed = [...this.#requests].filter(
      ([each, parts]) => each === key || (!this.#entries.has(each) && !this.#isSame(parts)),
    );
    const found = entriesInNewProcess(changed.map(([, parts]) => parts));
    for (const [index, [each]] of changed.entries()) this.#entries.set(each, found[index] ?? []);
  }

  /** To be called when packages may have been installed or removed. */
  forget(): void {
    this.#entries.clear();
  }
}

/** The manifests that tell which files a specifier resolves to, if they exist: of the package, and of the directories above the importing module. */
function manifestsOf([specifier, directory]: PackageRequest): string[] {
  const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;
  const found: string[] = [];
  for (let at = directory; ; at = dirname(at)) {
    found.push(join(at, 'package.json'), join(at, 'node_modules', name, 'package.json'));
    if (at === dirname(at)) return found;
  }
}

/** What a manifest says about files, as text. */
function targets(manifest: string): string | undefined {
  try {
    const { name, main, exports, imports } = JSON.parse(readFileSync(manifest, 'utf8'));
    return JSON.stringify([name, main, exports, imports]);
  } catch {
    return undefined;
  }
}
