/**
 * What the tests take from the npm registry besides the dependencies: other versions of Node, whose binaries npm carries,
 * and pnpm. They lie outside the repository, a directory each, where `install.ts` puts them and the tests look.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Those that package.json promises: the oldest exactly, of the others the newest. */
export const NODES = ['20.19.0', '22', '24', '26'] as const;

export interface Tool {
  readonly name: string;
  /** For npm. */
  readonly specifier: string;
  /** The file to run, from its directory. */
  readonly file: string;
}

const NODE_PACKAGE = `node-${process.platform}-${process.arch}`;

export const TOOLS: readonly Tool[] = [
  ...NODES.map((version) => ({
    name: `node ${version}`,
    specifier: `${NODE_PACKAGE}@${version}`,
    file: `node_modules/${NODE_PACKAGE}/bin/node`,
  })),
  // The last that runs on Node 20.
  { name: 'pnpm', specifier: 'pnpm@10', file: 'node_modules/pnpm/bin/pnpm.cjs' },
];

/** Where a tool is, or is to be: below PASTER_TEST_TOOLS, or in the user's cache. */
export function toolDirectory({ name }: Tool): string {
  const root = process.env['PASTER_TEST_TOOLS'] ?? join(homedir(), '.cache/paster-test-tools');
  return join(root, name.replace(' ', '-'));
}
