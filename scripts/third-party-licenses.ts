/**
 * Writes THIRD-PARTY-LICENSES.md: the packages that are installed along with paster (from package-lock.json), and their licenses
 * (from node_modules). Run `npm run licenses` after each change of the dependencies.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const FILE = join(ROOT, 'THIRD-PARTY-LICENSES.md');

/** The SPDX identifiers of licenses that require no more than a notice, as paster's own does. */
export const PERMISSIVE = [
  'MIT',
  'ISC',
  '0BSD',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'CC0-1.0',
];

/** An entry of package-lock.json. */
interface Locked {
  readonly version: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly optional?: boolean;
  readonly peer?: boolean;
}

export interface ThirdParty {
  readonly name: string;
  readonly version: string;
  /** SPDX, or what its package.json says; empty if it says nothing. */
  readonly license: string;
  /** The first line of its license that names a copyright holder; empty if none does. */
  readonly copyright: string;
}

/** The packages that `npm install paster` brings along, by name. */
export function thirdParties(): ThirdParty[] {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, Locked>>;
  };
  const installed = Object.entries(packages).filter(
    ([path, { dev, devOptional, optional, peer }]) => path !== '' && !dev && !devOptional && !optional && !peer,
  );
  return installed
    .map(([path, { version, license = '' }]) => ({
      name: path.replace(/^.*node_modules\//, ''),
      version,
      license,
      copyright: copyrightOf(join(ROOT, path)),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function copyrightOf(directory: string): string {
  const file = readdirSync(directory).find((name) => /^licen[cs]e/i.test(name));
  if (file === undefined) return '';
  const [line = ''] = /copyright(?: \(c\)|.*\d{4}).*/i.exec(readFileSync(join(directory, file), 'utf8')) ?? [];
  return line.trim().replaceAll('|', '\\|');
}

/** The text of the page. */
export function licenseList(): string {
  const rows = thirdParties().map(
    ({ name, version, license, copyright }) => `| ${name} | ${version} | ${license} | ${copyright} |\n`,
  );
  return `# Third-party licenses

What \`npm install paster\` brings along. paster's package holds none of it. Written by \`npm run licenses\`; for a bill of
materials in a standard format, \`npm sbom --omit dev --sbom-format cyclonedx\` (or \`spdx\`).

| package | version | license | copyright |
| --- | --- | --- | --- |
${rows.join('')}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(FILE, licenseList());
