/** `paster export docker`: a multi-stage Dockerfile. The last stage has the project and its dependencies, and is not root. */
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { workspaceDirectories } from '../../deploy/programs/manifest.ts';
import { UsageError } from '../../errors.ts';
import type { Deployment } from '../deployment.ts';
import { imageNotes, localPackages } from '../image-notes.ts';
import { lines } from '../text.ts';
import {
  CONTAINER_HOME,
  type ContainerServer,
  containerCommand,
  containerServer,
  gracefulTimeout,
  portsBesideWeb,
  refuseAccounts,
} from './serve-command.ts';
import { filesLeftOut } from './variable-notes.ts';

/** The long-term support release of Node that images get, whichever one runs `export`. See https://nodejs.org/en/about/previous-releases */
const NODE_LTS = 24;

const BASE = `node:${NODE_LTS}-slim`;

/** What the image lacks. */
export function dockerfileNotes(deployment: Deployment): string[] {
  return imageNotes(deployment, BASE);
}

/** @param health the path that reports whether the application is healthy; undefined: the probe only connects */
export function dockerfile(deployment: Deployment, health: string | undefined): string {
  refuseAccounts(deployment);
  const server = deployment.hasServer ? containerServer(deployment) : undefined;
  const timeout = gracefulTimeout(deployment, 'all');
  const secrets = filesLeftOut(deployment).map(({ path }) => path);
  const { files, directories, workspaces, command, variables, isLocked } = packageInstall(deployment.project);
  return lines(
    `FROM ${BASE} AS dependencies`,
    `WORKDIR ${CONTAINER_HOME}`,
    ...Object.entries(variables).map(([name, value]) => `ENV ${name}=${value}`),
    `COPY ${files.join(' ')} ./`,
    ...[...directories, ...localPackages(deployment.project)].map((path) => `COPY ${path} ./${path}`),
    ...workspaces.map((path) => `COPY ${path}/package.json ./${path}/`),
    isLocked ? undefined : '# There is no lock file: the image gets the newest versions that package.json allows.',
    `RUN ${command}`,
    // A package in a version of its own is in the node_modules of its workspace.
    workspaces.length > 0 ? `RUN mkdir -p ${workspaces.map((path) => `${path}/node_modules`).join(' ')}` : undefined,
    '',
    '# The source, without files that are only for the machine that builds the image.',
    `FROM ${BASE} AS source`,
    `WORKDIR ${CONTAINER_HOME}`,
    'COPY . .',
    "RUN rm -rf node_modules var .git .npmrc && find . -name '.env*' -prune -exec rm -rf {} +",
    secrets.length > 0 ? `RUN ${execForm(['rm', '-f', '--', ...secrets])}` : undefined,
    '',
    `FROM ${BASE}`,
    '# Node does not collect the processes of others, as the first process of a container must. tini does, and passes signals on.',
    'RUN apt-get update && apt-get install -y --no-install-recommends tini && rm -rf /var/lib/apt/lists/*',
    'ENV NODE_ENV=production',
    `WORKDIR ${CONTAINER_HOME}`,
    `COPY --from=dependencies ${CONTAINER_HOME}/node_modules ./node_modules`,
    `COPY --from=source ${CONTAINER_HOME} ./`,
    ...workspaces.map((path) => {
      const modules = `${path}/node_modules`;
      return `COPY --from=dependencies ${CONTAINER_HOME}/${modules} ./${modules}`;
    }),
    'RUN mkdir -p var && chown node:node var',
    'USER node',
    server && `EXPOSE ${[server, ...portsBesideWeb(deployment)].map(({ port }) => port).join(' ')}`,
    `# docker stop -t ${timeout + 5}: it takes up to ${timeout} seconds to finish its ${server ? 'requests' : 'work'}.`,
    'STOPSIGNAL SIGTERM',
    server &&
      `HEALTHCHECK --interval=10s --timeout=5s --start-period=${startPeriod(deployment)}s CMD ${execForm(['node', '-e', probe(server, health)])}`,
    `ENTRYPOINT ${execForm(['tini', '--'])}`,
    `CMD ${execForm(containerCommand(deployment, 'all'))}`,
  );
}

/** Keeps secrets, and the files of the machine that builds, out of the build. */
export function dockerignore(deployment: Deployment): string {
  const secrets = filesLeftOut(deployment).map(({ path }) => ignorePattern(path));
  return lines(
    '**/.env*',
    '**/node_modules',
    '.dockerignore',
    '.git',
    'Dockerfile',
    'npm-debug.log*',
    'var',
    ...secrets,
  );
}

/** A line cannot contain control characters, and loses spaces at its end: `?` matches any character. */
function ignorePattern(path: string): string {
  return `/${path.replace(/[*?[\]\\]/g, '\\$&').replace(/\p{Cc}|\s$/gu, '?')}`;
}

/** `start_timeout`, since paster does not wait longer; a minute if there is no limit. */
function startPeriod({ settings }: Deployment): number {
  return Math.ceil(settings.start_timeout) || 60;
}

/** Over TLS the probe only connects: the certificate is for another name than localhost, which would fail. */
function probe({ port, scheme }: ContainerServer, health: string | undefined): string {
  const failed = ".on('error', () => { process.exitCode = 1; })";
  if (health === undefined || scheme === 'https') {
    return `require('net').connect(${port}, '127.0.0.1', function () { this.destroy(); })${failed}`;
  }
  const url = JSON.stringify(`http://127.0.0.1:${port}${health}`);
  const callback = '(answer) => { process.exitCode = answer.statusCode < 400 ? 0 : 1; answer.resume(); }';
  return `require('http').get(${url}, { agent: false }, ${callback})${failed}`;
}

/** The exec form, which no shell reads. Docker replaces no variables in HEALTHCHECK and CMD. */
function execForm(all: readonly string[]): string {
  return JSON.stringify(all);
}

// --- how an image installs the dependencies of a project: with the package manager whose lock file the project has

interface PackageInstall {
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
function packageInstall(project: string): PackageInstall {
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
