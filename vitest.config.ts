import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const DIST = fileURLToPath(new URL('dist/', import.meta.url));
const SRC = fileURLToPath(new URL('src/', import.meta.url));

export default defineConfig({
  plugins: [
    {
      // package.json names the built-in parts in dist/; a unit test wants the sources that it tests the rest of.
      name: 'paster:sources',
      enforce: 'pre',
      resolveId(id) {
        const path = id.startsWith('file://') ? fileURLToPath(id) : id;
        return path.startsWith(DIST) ? SRC + path.slice(DIST.length).replace(/\.js$/, '.ts') : undefined;
      },
    },
  ],
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // What a test writes into a temporary directory is a user's module: Node's to load, not the test runner's.
    server: { deps: { external: [/\/paster-[^/]+\//] } },
    reporters: process.env['CI'] === 'true' ? ['default', 'json'] : ['default'],
    outputFile: { json: '.test-report.json' },
  },
});
