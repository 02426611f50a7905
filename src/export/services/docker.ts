/** `paster export docker`: a multi-stage Dockerfile. The last stage has the project and its dependencies, and is not root. */
import type { Deployment } from '../deployment.ts';
import { imageNotes, localPackages } from '../image-notes.ts';
import { lines } from '../text.ts';
import { packageInstall } from './package-install.ts';
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
export const NODE_LTS = 24;

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
