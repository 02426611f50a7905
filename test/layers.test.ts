/** The layers of ARCHITECTURE.md, held by reading the imports: downwards only, no circles, and who may end the process. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from './helpers/program.ts';

const SRC = join(ROOT, 'src');

/** From the bottom up. Folders of one layer do not import each other, but for what `MAY_IMPORT` allows. */
const LAYERS: readonly (readonly string[])[] = [
  ['printable', 'own-files', 'secrets', 'timer', 'growing-buffer', 'working-directory'],
  ['version'],
  ['errors', 'log'],
  ['path-steps'],
  ['user-files'],
  ['config', 'protocol', 'http', 'net'],
  ['logging', 'metrics'],
  ['gateway', 'deploy'],
  ['servers', 'apps', 'filters', 'process', 'scaffold', 'export'],
  ['serve'],
  ['commands'],
  ['cli', 'worker', 'index'],
];

/** Siblings by name: the vocabulary is written with addresses. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = { protocol: ['net'], http: [] };

const IMPORT = /(?:^|[\s;}])(?:import|export)\s[^'"`;]*?from\s*'([^']+)'|import\('([^']+)'\)|^import '([^']+)'/gm;

function sources(): string[] {
  return readdirSync(SRC, { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('.ts'))
    .sort();
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  return [...text.matchAll(IMPORT)]
    .map((match) => match[1] ?? match[2] ?? match[3] ?? '')
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

const FILES = sources();

describe('layers', () => {
  test('imports point downwards only, and siblings do not import each other', () => {
    const upward = FILES.flatMap((file) =>
      importsOf(file)
        .filter((imported) => {
          const [from, to] = [folderOf(file), folderOf(imported)];
          if (from === to || MAY_IMPORT[from]?.includes(to)) return false;
          return layerOf(to) >= layerOf(from);
        })
        .map((imported) => `${file} -> ${imported}`),
    );
    expect(upward).toEqual([]);
  });

  test('whoever keeps processes knows nothing of what they serve', () => {
    const known = /^(?:deploy|http|gateway|protocol|metrics\/meter|config\/(?!env-file))/;
    const strays = FILES.filter((file) => folderOf(file) === 'process').flatMap((file) =>
      importsOf(file)
        .filter((imported) => known.test(imported))
        .map((imported) => `${file} -> ${imported}`),
    );
    expect(strays).toEqual([]);
  });

  test('there is no circle', () => {
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

  test('every import is of a file that is there', () => {
    const missing = FILES.flatMap((file) => importsOf(file).filter((imported) => !FILES.includes(imported)));
    expect(missing).toEqual([]);
  });

  test('only own-files.ts knows where paster’s files are: in the bundle nothing else lies where its source does', () => {
    const asking = FILES.filter((file) => {
      const code = readFileSync(join(SRC, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
      return /import\.meta\.(?:url|dirname|filename)/.test(code);
    });
    // To import-module.ts any file of paster's is as good as another: packages are looked for from there.
    expect(asking).toEqual(['deploy/import-module.ts', 'own-files.ts']);
  });

  test('only the entries end the process, and nothing writes to the console', () => {
    const strays = FILES.filter((file) => {
      const text = readFileSync(join(SRC, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
      return (
        /\bconsole\.(?!out\b|err\b)/.test(text) || (/process\.exit\(/.test(text) && !/^(cli|worker)\.ts$/.test(file))
      );
    });
    expect(strays).toEqual([]);
  });
});
