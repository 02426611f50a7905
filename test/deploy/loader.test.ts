/** The loader against Paste Deploy itself: the same INI files, the same factories (see test/oracle/README.md). */
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createFilter, createServer, factoryContext, loadTarget } from '../../src/deploy/compose.ts';
import { appConfig, loadApp, loadContext } from '../../src/deploy/load.ts';
import { ConfigError, PasterError } from '../../src/errors.ts';
import type { App } from '../../src/protocol/types.ts';
import { temporaryDirectory, writeFiles } from '../helpers/directory.ts';
import { ROOT } from '../helpers/programs/program.ts';

const DATA = join(ROOT, 'test/data/deploy');
const PACKAGES = join(ROOT, 'test/fixtures/deploy/node_modules');
const MODULE = './node_modules/FakeApp/parts.js';

interface Case {
  readonly name: string;
  readonly load: readonly string[];
  readonly files: Record<string, string>;
}

interface Golden {
  readonly name: string;
  readonly result?: unknown;
  readonly error?: string;
}

type Reporting = App & { report?: unknown };

function readCases(): Case[] {
  const text = readFileSync(join(DATA, 'loader.cases'), 'utf8');
  return text
    .split(/^#### /m)
    .slice(1)
    .map((block) => {
      const [head = '', ...files] = block.split(/^--- /m);
      const [name = '', load = ''] = head.split('\n');
      return {
        name,
        load: load.split(' '),
        files: Object.fromEntries(
          files.map((file) => {
            const end = file.indexOf('\n');
            return [file.slice(0, end), file.slice(end + 1)];
          }),
        ),
      };
    });
}

const GOLDEN = new Map(
  (JSON.parse(readFileSync(join(DATA, 'loader.json'), 'utf8')) as Golden[]).map((row) => [row.name, row]),
);

/** Writes the files into etc/ of a new project, and the packages into its node_modules. */
function layOut(files: Record<string, string>): string {
  const directory = temporaryDirectory();
  cpSync(PACKAGES, join(directory, 'node_modules'), { recursive: true });
  const module = join(directory, MODULE);
  writeFiles(
    directory,
    Object.fromEntries(Object.entries(files).map(([name, text]) => [name, text.replaceAll('{mod}', module)])),
  );
  return directory;
}

async function load([what, uri = '', ...assignments]: readonly string[], relativeTo: string): Promise<unknown> {
  const given = assignments.map((each) => [each.slice(0, each.indexOf('=')), each.slice(each.indexOf('=') + 1)]);
  const options = given.length > 0 ? { relativeTo, globalConf: Object.fromEntries(given) } : { relativeTo };
  switch (what) {
    case 'config': {
      const { globalConf, localConf } = await appConfig(uri, options);
      return { global: globalConf, local: localConf };
    }
    case 'filter': {
      const filter = await createFilter(await loadContext('filter', uri, options));
      const app: Reporting = () => {};
      app.report = { app: "the caller's", global: {}, local: {} };
      return ((await filter(app)) as Reporting).report;
    }
    case 'server': {
      const context = factoryContext(await loadContext('server', uri, options));
      const created = await createServer(context, await loadTarget(context), context.localConf);
      return 'server' in created ? (created.server as unknown as { report: unknown }).report : undefined;
    }
    default:
      return ((await loadApp(uri, options)) as Reporting).report;
  }
}

/** A report as the oracle writes it, without names that differ in each run. */
function flat(value: unknown, directory: string): unknown {
  const text = JSON.stringify(value).replaceAll(join(directory, MODULE), 'fakeapp').replaceAll(directory, '$DIR');
  return JSON.parse(text);
}

describe('loaded like Paste Deploy', () => {
  test.each(readCases().map((each) => [each.name, each] as const))('%s', async (name, { load: what, files }) => {
    const golden = GOLDEN.get(name);
    if (!golden) throw new Error('no golden row: run test/oracle/write_loader_golden.py');
    const directory = layOut(files);
    if (golden.error === undefined) {
      expect(flat(await load(what, directory), directory)).toEqual(golden.result);
      return;
    }
    const error = await load(what, directory).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(PasterError);
    // Every error about a file has a place in it.
    if (!what[1]?.includes('#')) expect((error as PasterError).location?.file).toContain(directory);
    if (golden.error === 'RecursionError') {
      expect(error).toBeInstanceOf(ConfigError);
      expect((error as ConfigError).message).toMatch(/cycle: .* -> /);
    }
  });
});
