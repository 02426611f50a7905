import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const DIST = fileURLToPath(new URL('dist/', import.meta.url));
const SRC = fileURLToPath(new URL('src/', import.meta.url));

/** Tests of what a process does under load, or of when it does something: they have the machine to themselves, one at a time. */
const ALONE = [
  'test/process/**/*.test.ts',
  'test/front-ends/processes.test.ts',
  'test/fuzz/**/*.test.ts',
  ...['balance', 'framework-suite', 'hand-over', 'many-machines', 'processes', 'reload', 'systemd', 'under-load'].map(
    (name) => `test/integration/${name}.test.ts`,
  ),
];

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
    projects: [
      {
        extends: true,
        test: {
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: ALONE,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      { extends: true, test: { name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 2 } } },
    ],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // What a test writes into a temporary directory is a user's module: Node's to load, not the test runner's.
    server: { deps: { external: [/\/paster-[^/]+\//] } },
    // What the programs under test print is shown where their test fails.
    silent: 'passed-only',
    setupFiles: ['test/helpers/captured-stderr.ts'],
    reporters: [
      'default',
      ...(process.env['CI'] === 'true' ? ['json'] : []),
      fileURLToPath(new URL('test/helpers/skipped.ts', import.meta.url)),
    ],
    outputFile: { json: '.test-report.json' },
  },
});
