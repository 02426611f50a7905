/** `paster export docker`: a Dockerfile in stages, whose last one has the project and its dependencies and no root. */
import type { Deployment } from './deployment.ts';
import { CONTAINER_HOME, type ContainerCommand, commandInContainer } from './serve-command.ts';
import { lines } from './text.ts';

/** @param health the path that tells whether the application is well; undefined: that somebody listens is all one asks. */
export function dockerfile(deployment: Deployment, health: string | undefined): string {
  const serve = commandInContainer(deployment);
  const [major] = process.versions.node.split('.');
  const base = `node:${major}-slim`;
  return lines(
    `FROM ${base} AS dependencies`,
    `WORKDIR ${CONTAINER_HOME}`,
    'COPY package.json package-lock.json* ./',
    'RUN if [ -f package-lock.json ]; then npm ci --omit=dev; else npm install --omit=dev; fi',
    '',
    '# Without what belongs to the machine that builds.',
    `FROM ${base} AS source`,
    `WORKDIR ${CONTAINER_HOME}`,
    'COPY . .',
    "RUN rm -rf node_modules var .git && find . -name '.env*' -prune -exec rm -rf {} +",
    '',
    `FROM ${base}`,
    'ENV NODE_ENV=production',
    `WORKDIR ${CONTAINER_HOME}`,
    `COPY --from=dependencies ${CONTAINER_HOME}/node_modules ./node_modules`,
    `COPY --from=source ${CONTAINER_HOME} ./`,
    'RUN mkdir -p var && chown node:node var',
    'USER node',
    `EXPOSE ${serve.port}`,
    `# docker stop --time ${serve.gracefulTimeout + 5}: it takes up to ${serve.gracefulTimeout} seconds to finish its requests.`,
    'STOPSIGNAL SIGTERM',
    `HEALTHCHECK --interval=10s --timeout=5s --start-period=${startPeriod(deployment)}s CMD ${words(['node', '-e', probe(serve, health)])}`,
    `CMD ${words(serve.command)}`,
  );
}

/** What stays out of the build altogether: secrets, and what belongs to the machine that builds. */
export function dockerignore(): string {
  return lines('**/.env*', '**/node_modules', '.git', 'var');
}

/** Longer than `start_timeout` nothing is waited for anyway; where that is no limit, a minute. */
function startPeriod({ settings }: Deployment): number {
  return Math.ceil(settings.start_timeout) || 60;
}

/** A certificate for another name is no illness: over TLS it asks whether somebody listens. */
function probe({ port, scheme }: ContainerCommand, health: string | undefined): string {
  const failed = ".on('error', () => { process.exitCode = 1; })";
  if (health === undefined || scheme === 'https') {
    return `require('net').connect(${port}, '127.0.0.1', function () { this.destroy(); })${failed}`;
  }
  const url = JSON.stringify(`http://127.0.0.1:${port}${health}`);
  const judged = '(answer) => { process.exitCode = answer.statusCode < 400 ? 0 : 1; answer.resume(); }';
  return `require('http').get(${url}, { agent: false }, ${judged})${failed}`;
}

/** The form that no shell reads. A variable is replaced in neither instruction. */
function words(all: readonly string[]): string {
  return JSON.stringify(all);
}
