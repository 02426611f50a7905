/**
 * Installs what tools.ts and products.ts list: `npm run test:tools`, once on a machine, and again for newer versions. With
 * names as arguments it installs only those.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PRODUCTS, type Product } from './products.ts';
import { TOOLS, type Tool, toolDirectory } from './tools.ts';

const OPTIONS = [
  '--no-save',
  '--no-package-lock',
  '--ignore-scripts',
  '--no-audit',
  '--no-fund',
  '--loglevel',
  'error',
];

/** Installations at a time: the registry serves several, but each build takes a core. */
const PARALLEL = 3;

const PROGRAMS = join(import.meta.dirname, '../../test/fixtures/products');

const QUIET = { NEXT_TELEMETRY_DISABLED: '1', ASTRO_TELEMETRY_DISABLED: '1', NUXT_TELEMETRY_DISABLED: '1' };

async function run(file: string, args: readonly string[], cwd: string, variables = {}): Promise<boolean> {
  const env = { ...process.env, ...QUIET, ...variables };
  const child = spawn(file, args, { cwd, env, stdio: ['ignore', 'ignore', 'inherit'] });
  const [status] = await once(child, 'exit');
  return status === 0;
}

async function install(tool: Tool): Promise<boolean> {
  const directory = toolDirectory(tool);
  mkdirSync(directory, { recursive: true });
  return run('npm', ['install', '--prefix', directory, ...OPTIONS, ...tool.specifiers], directory);
}

/** The file in a product's directory that records what was installed and built. If that differs, it is installed again. */
const STAMP = '.installed';

async function installProduct(product: Product): Promise<boolean> {
  const directory = toolDirectory(product);
  const program = join(PROGRAMS, product.name);
  const stamp = JSON.stringify([product, product.build && textsOf(program)]);
  const stampFile = join(directory, STAMP);
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return true;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const { overrides = {} } = product;
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ private: true, overrides }));
  if (!(await install(product))) return false;
  if (product.build) {
    cpSync(program, directory, { recursive: true });
    if (!(await run(process.execPath, product.build, directory))) return false;
    const { basePath } = product;
    const again = { BASE_PATH: basePath };
    if (basePath && !(await run(process.execPath, product.build, directory, again))) return false;
  }
  writeFileSync(stampFile, stamp);
  return true;
}

function textsOf(directory: string): readonly string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  const files = entries.map(({ parentPath, name }) => join(parentPath, name));
  return files.sort().map((file) => readFileSync(file, 'utf8'));
}

const wanted = process.argv.slice(2);
const jobs = [
  ...TOOLS.map((tool) => ({ tool, start: () => install(tool) })),
  ...PRODUCTS.map((product) => ({ tool: product, start: () => installProduct(product) })),
].filter(({ tool }) => wanted.length === 0 || wanted.includes(tool.name));

async function worker(): Promise<void> {
  for (let job = jobs.shift(); job; job = jobs.shift()) {
    const begun = performance.now();
    const isInstalled = await job.start();
    if (!isInstalled) process.exitCode = 1;
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    const result = isInstalled ? `${toolDirectory(job.tool)} (${seconds} s)` : 'could not be installed';
    process.stdout.write(`${job.tool.name}: ${result}\n`);
  }
}

await Promise.all(Array.from({ length: PARALLEL }, worker));
