/** The layers of ARCHITECTURE.md, enforced by reading the imports: downwards only, no cycles, and only some files end the process. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from './helpers/programs/program.ts';

const SRC = join(ROOT, 'src');

/** From the bottom up. Folders of one layer do not import each other. */
const LAYERS: readonly (readonly string[])[] = [
  ['printable', 'own-files', 'secrets', 'timer', 'growing-buffer', 'working-directory'],
  ['errors', 'log'],
  ['files', 'diagnostics', 'machine'],
  ['config', 'http'],
  ['net'],
  ['protocol'],
  ['logging', 'metrics'],
  ['gateway'],
  ['deploy'],
  ['servers', 'apps', 'filters', 'process', 'scaffold', 'export'],
  ['serve'],
  ['commands'],
  ['cli', 'worker', 'index'],
  ['lazy-index'],
];

const IMPORT = /(?:^|[\s;}])(?:import|export)\s[^'"`;]*?from\s*'([^']+)'|import\('([^']+)'\)|^import '([^']+)'/gm;

function typescriptIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('.ts'))
    .sort();
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  const lazy = [...text.matchAll(/ = lazy\('\w+', '(.+)'\)/g)].map(([, module]) => `./${module}.ts`);
  return [...text.matchAll(IMPORT)]
    .map((match) => match[1] ?? match[2] ?? match[3] ?? '')
    .concat(lazy)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => relative(SRC, resolve(SRC, dirname(file), specifier)));
}

function folderOf(file: string): string {
  return file.includes('/') ? (file.split('/')[0] ?? '') : file.replace(/\.ts$/, '');
}

function layerOf(folder: string): number {
  const layer = LAYERS.findIndex((folders) => folders.includes(folder));
  if (layer === -1) throw new Error(`src/${folder} is in no layer`);
  return layer;
}

const FILES = typescriptIn(SRC);

/** The entry points of a thread and of workers, and a function that many folders use. */
const SHORT = ['filters/auth/password-thread.ts', 'logging/memoize-last.ts', 'worker.ts'];

describe('layers', () => {
  // Without it, the tests below would pass if a change of the style of imports hid them from the pattern.
  test('static, dynamic and lazy imports are found', () => {
    expect(importsOf('cli.ts')).toEqual(expect.arrayContaining(['own-files.ts', 'commands/command-line/run.ts']));
    expect(importsOf('lazy-index.ts')).toContain('apps/cascade/cascade.ts');
  });

  test('imports point downwards only, and siblings do not import each other', () => {
    const upward = FILES.flatMap((file) =>
      importsOf(file)
        .filter((imported) => {
          const [from, to] = [folderOf(file), folderOf(imported)];
          if (from === to) return false;
          return layerOf(to) >= layerOf(from);
        })
        .map((imported) => `${file} -> ${imported}`),
    );
    expect(upward).toEqual([]);
  });

  test('process/ does not import what its processes serve', () => {
    const served = /^(?:deploy|http|gateway|protocol|metrics\/meter|config\/(?!env-file))/;
    const strays = FILES.filter((file) => folderOf(file) === 'process').flatMap((file) =>
      importsOf(file)
        .filter((imported) => served.test(imported))
        .map((imported) => `${file} -> ${imported}`),
    );
    expect(strays).toEqual([]);
  });

  test('a folder has at most twelve files, and a file 25 to 450 lines', () => {
    const all = [SRC, join(ROOT, 'test')].flatMap((directory) =>
      typescriptIn(directory).map((file) => join(directory, file)),
    );
    const folders = new Map<string, number>();
    const benchmarks = readdirSync(join(ROOT, 'bench'), { recursive: true }).map(String);
    const counted = [
      ...all,
      ...benchmarks.filter((file) => extname(file) !== '').map((file) => join(ROOT, 'bench', file)),
    ];
    for (const file of counted) folders.set(dirname(file), (folders.get(dirname(file)) ?? 0) + 1);
    expect([...folders].filter(([, count]) => count > 12)).toEqual([]);
    const lines = (file: string): number => readFileSync(file, 'utf8').split('\n').length;
    expect(all.filter((file) => lines(file) > 450)).toEqual([]);
    expect(FILES.filter((file) => lines(join(SRC, file)) < 25)).toEqual(SHORT);
  });

  test('there is no import cycle', () => {
    const graph = new Map(FILES.map((file) => [file, importsOf(file)]));
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) throw new Error([...path.slice(path.indexOf(file)), file].join(' -> '));
      if (done.has(file)) return;
      for (const imported of graph.get(file) ?? []) visit(imported, [...path, file]);
      done.add(file);
    };
    expect(() => FILES.forEach((file) => void visit(file, []))).not.toThrow();
  });

  test('every imported file exists', () => {
    const missing = FILES.flatMap((file) => importsOf(file).filter((imported) => !FILES.includes(imported)));
    expect(missing).toEqual([]);
  });

  test('only own-files.ts locates paster’s files: in the bundle other files are not where their sources are', () => {
    const asking = FILES.filter((file) => {
      const code = readFileSync(join(SRC, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
      return /import\.meta\.(?:url|dirname|filename)/.test(code);
    });
    // import-module.ts may use any file of paster: packages are resolved from there.
    expect(asking).toEqual(['deploy/modules/import-module.ts', 'own-files.ts']);
  });

  test('only the entries end the process, and nothing writes to the console', () => {
    const strays = FILES.filter((file) => {
      const text = readFileSync(join(SRC, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
      return (
        /\bconsole\.(?!out\b|err\b|screen\b)/.test(text) ||
        (/process\.exit\(/.test(text) && !/^(cli|worker)\.ts$/.test(file))
      );
    });
    expect(strays).toEqual([]);
  });
});

describe('the bundle', () => {
  /** The names of the files of dist/ that a file imports before it runs, directly and indirectly. */
  function loadedWith(file: string, found: Set<string> = new Set()): Set<string> {
    const text = readFileSync(join(ROOT, 'dist', file), 'utf8');
    for (const [, specifier = ''] of text.matchAll(/^import [^;]*?from "(\.[^"]+)";$/gm)) {
      const imported = join(dirname(file), specifier);
      if (found.has(imported)) continue;
      found.add(imported);
      loadedWith(imported, found);
    }
    return found;
  }

  test('modules that a start does not need are loaded later', () => {
    // The names below are those of files in dist/.
    const built = readdirSync(join(ROOT, 'dist'));
    expect(built).toEqual(expect.arrayContaining(['exchange.js', 'error-page.js', 'welcome-page.js']));
    expect([...loadedWith('cli.js')]).toEqual(['base.js']);
    expect([...loadedWith('index.js')].sort()).toEqual(['base.js', 'load.js']);
    expect([...loadedWith('servers/http/server.js')]).not.toContain('exchange.js');
    expect([...loadedWith('worker.js')].filter((file) => /error-page|welcome/.test(file))).toEqual([]);
  });
});
