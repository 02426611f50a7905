/** The package as its users get it: the packed tarball, installed in its own project. */
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryDirectory } from '../directory.ts';
import { type Finished, Program, type ProgramOptions, ROOT } from './program.ts';

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly paster: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;

/** The environment of a program that connects to a registry: see vitest.config.ts. */
export const ONLINE = { NODE_EXTRA_CA_CERTS: process.env['TEST_EXTRA_CA_CERTS'] };

/** Runs a program until it ends. @throws Error with its output if it fails. */
export async function run(file: string, args: readonly string[], options: ProgramOptions): Promise<Finished> {
  const finished = await new Program(file, args, options).finished();
  if (finished.status !== 0) throw new Error(`${file} ${args.join(' ')}: ${finished.stdout}${finished.stderr}`);
  return finished;
}

/** Packs the build. @returns The tarball in that directory. */
export async function pack(directory: string): Promise<string> {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', directory];
  const { stdout } = await run('npm', args, { cwd: ROOT });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  return join(directory, filename);
}

/** Unpacks it as `node_modules/paster` of a directory. @returns That path. */
async function unpack(tarball: string, directory: string): Promise<string> {
  const installed = join(directory, 'node_modules/paster');
  mkdirSync(installed, { recursive: true });
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed], {});
  return installed;
}

/** A project with a tarball of the package installed, with its dependencies as links to ours, and `others` of ours. */
export async function project(
  tarball: string,
  files: Readonly<Record<string, string>> = {},
  others: readonly string[] = [],
): Promise<{ readonly directory: string; readonly installed: string }> {
  const directory = temporaryDirectory({ 'package.json': '{"type": "module"}', ...files });
  const installed = await unpack(tarball, directory);
  for (const name of [...Object.keys(MANIFEST.dependencies), ...others]) {
    const link = join(directory, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), link);
  }
  return { directory, installed };
}
