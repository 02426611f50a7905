import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

// Node reads these certificates at each start, which takes twice as long as the rest of it, and the tests start Node thousands
// of times. What a test installs from a registry gets them back: ONLINE in test/helpers/programs/installed.ts.
const certificates = process.env['NODE_EXTRA_CA_CERTS'];
if (certificates !== undefined) {
  process.env['TEST_EXTRA_CA_CERTS'] = certificates;
  delete process.env['NODE_EXTRA_CA_CERTS'];
}

const DIST = fileURLToPath(new URL('dist/', import.meta.url));
const SRC = fileURLToPath(new URL('src/', import.meta.url));
const TESTS = fileURLToPath(new URL('test/', import.meta.url));

/** Depends on when processes get the processor, so it runs after all others. */
const ALONE = ['test/integration/workers/balance.test.ts'];

/** What `npm test` runs: the parts by themselves, the contract suite, and the main ways through paster. */
const QUICK = [
  'test/*.test.ts',
  'test/!(applications|export|front-ends|fuzz|integration|process)/**/*.test.ts',
  ...['hosts/systemd', 'products/frameworks', 'reload/reload', 'servers/serve-*', 'servers/web-servers'].map(
    (name) => `test/integration/${name}.test.ts`,
  ),
];

/** Start so many processes that each takes more than its share of `npm test`. */
const NOT_QUICK = ['documentation/walkthroughs', 'documentation/help-examples', 'commands/check/as-user'].map(
  (name) => `test/${name}.test.ts`,
);

/** Take long although they are small. They begin first, so that at the end no processor waits for the last of them. */
const FIRST =
  /\/test\/(?:documentation\/(?:walkthroughs|help-examples)|applications\/|front-ends\/(?:apache|cgi-arguments)|integration\/\w+\/(?:create|node-versions|site|under-load)\.)/;

/**
 * Changes the process that it runs in (its streams, clock, environment, classes) or runs commands in it, which may do so, or
 * counts everything that happens there.
 */
const CHANGES_PROCESS =
  /\bvi\.(?:spyOn|stub\w+|useFakeTimers|resetModules)\(|\.prototype\b|process\.(?:env\[[^\]]+\] =|on\('warning')|\b(?:heap|work|fuzz|command|findings|run-config|migration)\.ts'/;

const [OWN_PROCESS, SHARED_PROCESS] = bySharing();

/** Test files that need a process of their own, and those that can share one: to start one costs 0.3 s. */
function bySharing(): [own: string[], shared: string[]] {
  const names = readdirSync(TESTS, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'));
  const needsOwn = (name: string): boolean => CHANGES_PROCESS.test(readFileSync(join(TESTS, name), 'utf8'));
  return [true, false].map((own) => names.filter((name) => needsOwn(name) === own).map((name) => `test/${name}`)) as [
    string[],
    string[],
  ];
}

/** Vitest begins with the files that took long the last time, and in a new clone with the largest. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number =>
      2 * project.config.sequence.groupOrder + (FIRST.test(moduleId) ? 0 : 1);
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/** No test takes so long by itself. CI may be a slow machine, on which tests wait for each other. */
const LIMIT_MS = process.env['CI'] === 'true' ? 180_000 : 60_000;

/** Set by `npm test`, unless CI is set. Without it every test can be run. */
const isQuick = process.env['TEST_SET'] === 'quick';

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
    sequence: { sequencer: LongestFirst },
    projects: [
      ...[true, false].map((isolate) => ({
        extends: true as const,
        test: {
          name: isolate ? 'own process' : 'shared process',
          isolate,
          include: isQuick ? QUICK : ['test/**/*.test.ts'],
          exclude: [...(isolate ? SHARED_PROCESS : OWN_PROCESS), ...ALONE, ...(isQuick ? NOT_QUICK : [])],
          // Most tests wait for a program half of their time, so there is work for more of them than there are cores.
          maxWorkers: availableParallelism() + 4,
          sequence: { groupOrder: 1 },
        },
      })),
      {
        extends: true,
        test: {
          name: 'alone',
          include: isQuick ? [] : ALONE,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
    testTimeout: LIMIT_MS,
    hookTimeout: LIMIT_MS,
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
