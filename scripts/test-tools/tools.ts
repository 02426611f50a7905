/**
 * What the tests need from the npm registry in addition to the dependencies: other versions of Node, whose binaries are packages,
 * pnpm, pm2, frameworks, and the products of products.ts. `install.ts` installs each into its own directory outside of the
 * repository.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The versions that package.json promises: exactly the oldest, and the newest of each later line. */
export const NODES = ['20.19.0', '22', '24', '26'] as const;

export interface Tool {
  readonly name: string;
  /** Packages for npm. */
  readonly specifiers: readonly string[];
  /** The file to run, from its directory. */
  readonly file: string;
}

const NODE_PACKAGE = `node-${process.platform}-${process.arch}`;

export const TOOLS: readonly Tool[] = [
  ...NODES.map((version) => ({
    name: `node ${version}`,
    specifiers: [`${NODE_PACKAGE}@${version}`],
    file: `node_modules/${NODE_PACKAGE}/bin/node`,
  })),
  // The last that runs on Node 20.
  { name: 'pnpm', specifiers: ['pnpm@10'], file: 'node_modules/pnpm/bin/pnpm.cjs' },
  { name: 'pm2', specifiers: ['pm2@7.0.4'], file: 'node_modules/pm2/bin/pm2' },
  {
    name: 'frameworks',
    specifiers: [
      '@nestjs/core@11.2.10',
      '@nestjs/common@11.2.10',
      '@nestjs/platform-express@11.2.10',
      '@nestjs/platform-fastify@11.2.8',
      'reflect-metadata@0.2.2',
      'rxjs@7.8.2',
      '@hapi/hapi@21.4.10',
      'restify@11.1.0',
      '@feathersjs/feathers@5.0.50',
      '@feathersjs/express@5.0.50',
      '@feathersjs/koa@5.0.50',
      '@apollo/server@5.5.1',
      '@as-integrations/express5@1.1.2',
      'express@5.3.0',
      'graphql@16.15.0',
      'polka@0.5.2',
      'elysia@1.4.30',
      'crossws@0.4.17',
    ],
    file: 'node_modules/@as-integrations/express5/package.json',
  },
];

/** Where a tool is or will be installed: below PASTER_TEST_TOOLS, or in the user's cache. */
export function toolDirectory({ name }: Pick<Tool, 'name'>): string {
  const root = process.env['PASTER_TEST_TOOLS'] ?? join(homedir(), '.cache/paster-test-tools');
  return join(root, name.replace(' ', '-'));
}
