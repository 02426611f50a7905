/**
 * The JavaScript of dist/, made of src/: a few files, since Node takes half a millisecond for each that it imports.
 * The declarations there are tsc's, which has found no mistake in the types before.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { defineConfig, type Plugin, type RolldownOptions } from 'rolldown';

const DIST = join(import.meta.dirname, 'dist');
const SRC = join(import.meta.dirname, 'src');

/** What Node, or a process of paster's, loads by its path. */
const PROGRAMS = [
  ...['cli', 'worker', 'process/worker/inspection-thread', 'filters/auth/password-thread'],
  'process/preload/package-entries',
  'deploy/programs/children/forked-listen',
];

/** Loaded into each thread and child process of a program: with all that it needs, which other files have too. */
const PRELOAD = 'deploy/programs/children/refuse-listen.js';

/** What src/lazy-index.ts loads by its path when a program calls it, besides the built-in parts. */
const LAZY = [
  ...['apps/cgi/cgi', 'apps/proxy/proxy', 'apps/static/static-files', 'apps/static/file-versions'],
  ...['gateway/error-stream', 'logging/python/logger'],
];

/** Of both outputs. */
const COMMON: RolldownOptions = {
  platform: 'node',
  // Whatever is no file of ours: Node's modules and the dependencies.
  external: /^[^./]/,
  // What one command imports late, another may need at once. A busy machine is slow, which is no fault of the build.
  checks: { ineffectiveDynamicImport: false, bundlerTimings: false },
  onLog(level, log) {
    if (level === 'warn') throw new Error(log.message);
  },
};

const main: RolldownOptions = {
  ...COMMON,
  input: {
    index: join(SRC, 'lazy-index.ts'),
    ...Object.fromEntries([...PROGRAMS, ...LAZY, ...parts()].map((name) => [name, join(SRC, `${name}.ts`)])),
  },
  output: {
    dir: DIST,
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    comments: false,
    minifyInternalExports: false,
    codeSplitting: {
      // Each with all that it imports, but for what the one before has. The rest goes by who needs it: a file for each
      // command, part and late import, and one for whatever the same of these share.
      groups: [
        // Enough for --help.
        {
          name: 'base',
          test: modules(
            'errors',
            'log',
            'own-files',
            'config/nearest',
            'commands/command-line/command',
            'diagnostics/paint',
            'files/path-steps',
            'process/program/command-line',
            'process/program/compile-cache',
            'process/program/last-task',
            'process/program/standard-output',
          ),
          priority: 3,
        },
        // Enough for loadApp of a function.
        {
          name: 'load',
          test: modules('deploy/load', 'config/debug', 'net/address'),
          priority: 2,
        },
        // What built-in parts, filters and applications of other kinds than a function need besides.
        {
          name: 'parts',
          test: modules(
            'config/settings/setting',
            'config/settings/setting-types',
            'deploy/sections/application-settings',
            'deploy/sections/setting-paths',
            'deploy/validate',
            'files/existing-path',
            'metrics/count-by-section',
            'protocol/filter',
          ),
          priority: 1.9,
        },
        // What a filter logs through, without what configures it.
        { name: 'logging', test: modules('logging/python/logger', 'logging/python/strftime'), priority: 1.5 },
        // All that a thread needs.
        { name: 'password', test: modules('filters/auth/password'), priority: 1.5 },
        // What parts need of a server, and commands that do not serve.
        {
          name: 'application',
          test: modules(
            'timer',
            'commands/command-line/arguments',
            'deploy/modules/error-place',
            'deploy/modules/paste-names',
            'deploy/server/server-settings',
            'deploy/server/paster-section',
            'deploy/inspect/outline',
            'deploy/modules/packages',
            'deploy/modules/entry-points',
            'http/client-address',
            'http/response/response-outcome',
            'process/ipc/error-transfer',
            'process/ipc/messages',
          ),
          priority: 1.45,
        },
        // What several commands need, and no worker.
        {
          name: 'command',
          test: modules(
            'deploy/server/environment',
            'gateway/inject',
            'process/program/isolated-run',
            'process/program/self-spawn',
            'process/program/signals',
          ),
          priority: 1.4,
        },
        // What a process that serves HTTP needs, a worker or a server without workers.
        {
          name: 'serving',
          test: modules(
            'servers/http/server',
            'deploy/server/loaded-server',
            'deploy/server/serving',
            'serve/announce',
            'serve/logging',
            'serve/plan',
            'serve/terminal/developer-output',
            'net/listener',
            'net/socket-publication',
            'process/program/title',
            'process/daemon/logfile',
            'process/worker/connection-table',
            'process/ipc/child-exit',
            'process/ipc/connection-handover',
            'metrics/meter',
          ),
          priority: 1.3,
        },
        // The rest of a worker.
        { name: 'serve-worker', test: modules('serve/worker/worker-program'), priority: 1.2 },
        { name: 'serve', test: modules('commands/serve'), priority: 1 },
        // The rest of a supervisor.
        { name: 'supervisor', test: modules('serve/serve-workers'), priority: 0.9 },
        // What is around an application in development.
        {
          name: 'development',
          test: modules(
            'serve/development/wrap-application',
            'serve/development/first-page',
            'serve/terminal/terminal-log',
          ),
          priority: 0.8,
        },
      ],
    },
  },
  plugins: [withoutLeftovers()],
};

export default defineConfig([
  main,
  {
    ...COMMON,
    input: join(SRC, PRELOAD.replace(/js$/, 'ts')),
    output: { file: join(DIST, PRELOAD), codeSplitting: false, comments: false },
  },
]);

/** Matches these modules. @throws Error for one that does not exist: a renamed module would silently leave its file of dist/. */
function modules(...names: readonly string[]): RegExp {
  const missing = names.filter((name) => !existsSync(join(SRC, `${name}.ts`)));
  if (missing.length > 0) throw new Error(`rolldown.config.ts names modules that do not exist: ${missing.join(', ')}`);
  return new RegExp(`src/(?:${names.join('|')})\\.ts$`);
}

/** The modules of the built-in parts, which are entry points in package.json like anybody's. */
function parts(): string[] {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, 'package.json'), 'utf8')) as {
    readonly paster: Readonly<Record<string, Readonly<Record<string, string>>>>;
  };
  const expressions = Object.values(manifest.paster).flatMap((group) => Object.values(group));
  return expressions.flatMap((expression) => /^\.\/dist\/(.+)\.js:/.exec(expression)?.[1] ?? []);
}

/**
 * Takes out of dist/ what nobody reads: what an earlier build has left there and this one does not write, and declarations
 * that those of the public API do not lead to.
 */
function withoutLeftovers(): Plugin {
  return {
    name: 'paster:without-leftovers',
    writeBundle(_options, bundle) {
      const declarations = declarationsBehind('index.d.ts');
      for (const file of readdirSync(DIST, { recursive: true, encoding: 'utf8' })) {
        const isRead = file.endsWith('.d.ts')
          ? declarations.has(file)
          : file === PRELOAD || Object.hasOwn(bundle, file);
        if (!isRead && /\.(?:js|ts)$/.test(file)) rmSync(join(DIST, file));
      }
    },
  };
}

/** A file of declarations and those that it imports, and so on. */
function declarationsBehind(file: string, found: Set<string> = new Set()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  const text = readFileSync(join(DIST, file), 'utf8');
  for (const [, path = ''] of text.matchAll(/\b(?:from |import\()['"](\.[^'"]+)\.ts['"]/g)) {
    declarationsBehind(join(dirname(file), `${path}.d.ts`), found);
  }
  return found;
}
