/** How an image installs the dependencies of a project: with the package manager whose lock file the project has. */
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { workspaceDirectories } from '../../deploy/programs/manifest.ts';
import { UsageError } from '../../errors.ts';

export interface PackageInstall {
  /** The files that the installation needs, and no others, so that its layer is built again only when one of them changes. */
  readonly files: readonly string[];
  /** Directories that it needs. */
  readonly directories: readonly string[];
  /** Where the package.json of each workspace is, relative to the project. Packages of workspaces may be installed there too. */
  readonly workspaces: readonly string[];
  readonly command: string;
  /** Variables of the installation. */
  readonly variables: Readonly<Record<string, string>>;
  /** Whether the versions of the packages are fixed. */
  readonly isLocked: boolean;
}

interface Manager {
  /** The first one that exists. */
  readonly locks: readonly string[];
  readonly files?: readonly string[];
  readonly directories?: readonly string[];
  readonly command: string;
  readonly variables?: Readonly<Record<string, string>>;
}

const NPM = { locks: ['npm-shrinkwrap.json', 'package-lock.json'], command: 'npm ci --omit=dev' };

const PNPM = {
  locks: ['pnpm-lock.yaml'],
  files: ['pnpm-workspace.yaml', '.pnpmfile.cjs'],
  directories: ['patches'],
  // Corepack takes the version from "packageManager" in package.json.
  command: 'corepack enable && pnpm install --frozen-lockfile --prod',
};

const YARN_CLASSIC = { locks: ['yarn.lock'], command: 'yarn install --frozen-lockfile --production' };

const YARN = {
  locks: ['yarn.lock'],
  files: ['.yarnrc.yml'],
  directories: ['.yarn/patches', '.yarn/plugins', '.yarn/releases'],
  command: 'corepack enable && yarn workspaces focus --all --production',
  // Plug'n'Play has no node_modules, in which the image finds paster.
  variables: { YARN_NODE_LINKER: 'node-modules' },
};

/**
 * @param project the directory of its package.json
 * @throws UsageError if it has none
 */
export function packageInstall(project: string): PackageInstall {
  const exists = (name: string): boolean => existsSync(join(project, name));
  if (!exists('package.json')) {
    throw new UsageError('PASTER_EXPORT', `export: there is no package.json in ${project}`, {
      hint: 'the image installs the packages that it lists',
    });
  }
  const managers: readonly Manager[] = [NPM, PNPM, isModernYarn(project) ? YARN : YARN_CLASSIC];
  const manager = managers.find(({ locks }) => locks.some(exists));
  const files = (more: readonly string[]): string[] => ['package.json', ...more, '.npmrc'].filter(exists);
  const workspaces = workspaceDirectories(project).map((each) => relative(project, each));
  if (!manager) {
    return {
      workspaces,
      files: files([]),
      directories: [],
      command: 'npm install --omit=dev',
      variables: {},
      isLocked: false,
    };
  }
  const { locks, files: more = [], directories = [], command, variables = {} } = manager;
  return {
    workspaces,
    files: files([...locks.filter(exists).slice(0, 1), ...more]),
    directories: directories.filter(exists),
    command,
    variables,
    isLocked: true,
  };
}

/** The lock file of Yarn 2 and later is YAML with this key. */
function isModernYarn(project: string): boolean {
  try {
    return /^__metadata:/m.test(readFileSync(join(project, 'yarn.lock'), 'utf8'));
  } catch {
    return false;
  }
}
