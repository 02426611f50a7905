/** The targets of `export` by name. Each writes one or more files of text. */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { scheduleNotes } from './background.ts';
import type { Deployment } from './deployment.ts';
import { type Heading, withHeading } from './heading.ts';
import { dockerfile, dockerfileNotes, dockerignore } from './services/docker.ts';
import { kubernetesObjects } from './services/kubernetes.ts';
import { podResources } from './services/pods.ts';
import { containerNotes } from './services/serve-command.ts';
import { systemdUnits } from './services/systemd.ts';
import { dockerNotes, kubernetesNotes, systemdNotes } from './services/variable-notes.ts';
import { checkedServerName, exportError, maxBodyMiB, type Site, type SiteOptions, siteOf } from './site.ts';
import { type ExportedFile, lines } from './text.ts';
import { apacheSite } from './web-servers/apache.ts';
import { caddySite } from './web-servers/caddy.ts';
import { caddyJson } from './web-servers/caddy-json.ts';
import { haproxySite } from './web-servers/haproxy.ts';
import { EMPTY_ROOT, lighttpdSite } from './web-servers/lighttpd.ts';
import { nginxSite } from './web-servers/nginx.ts';

/** The options of the command line. A target refuses those that do not apply to it. */
export interface ExportOptions extends SiteOptions {
  readonly user: string | undefined;
  /** A unit for each process and task. */
  readonly split: boolean;
  readonly image: string | undefined;
  readonly health: string | undefined;
  readonly cpu: string | undefined;
  readonly memory: string | undefined;
  /** The file to write; undefined: standard output. */
  readonly output: string | undefined;
}

export interface Exported {
  readonly files: readonly ExportedFile[];
  /** The directories that must exist when the web server starts. */
  readonly directories: readonly string[];
  /** What the files cannot contain and the user has to provide. */
  readonly warnings: readonly string[];
}

const SITES: Readonly<Record<string, (site: Site) => string>> = {
  nginx: nginxSite,
  lighttpd: lighttpdSite,
  apache: apacheSite,
  caddy: caddySite,
  haproxy: haproxySite,
};

/** The options of each target that is not a web server. */
const OWN_OPTIONS: Readonly<Record<string, readonly (keyof ExportOptions)[]>> = {
  systemd: ['user', 'split'],
  docker: ['health'],
  kubernetes: ['image', 'health', 'cpu', 'memory', 'serverName', 'maxBody'],
};
const SITE_OPTIONS: readonly (keyof ExportOptions)[] = [
  'hosts',
  'prefix',
  'serverName',
  'listen',
  'maxBody',
  'standalone',
  'stateDir',
  'backendCa',
  'insecureBackend',
];

/** The names of the targets, in the order of the help. */
export const TARGETS: readonly string[] = [...Object.keys(SITES), ...Object.keys(OWN_OPTIONS)];

/**
 * @param words the words of the command after `paster export`, for the comment above the text
 * @throws UsageError for an option that the target cannot express.
 */
export async function exportTarget(
  target: string,
  deployment: Deployment,
  options: ExportOptions,
  words: readonly string[],
): Promise<Exported> {
  refuseOtherOptions(target, options);
  const heading: Heading = {
    target,
    words,
    isStandalone: options.standalone,
    isSplit: options.split,
    output: options.output,
  };
  const site = SITES[target];
  if (site) {
    if (!deployment.hasServer) throw exportError(`${deployment.file} has no server to connect to`, 'add [server:main]');
    const described = siteOf(target, deployment, options);
    const { stateDir } = described;
    const warnings = serverNotes(target, deployment, described);
    if (target === 'caddy' && stateDir !== undefined && !isCaddyfile(options.output)) {
      return {
        files: [{ name: target, text: `${caddyJson(described, stateDir)}\n` }],
        directories: [stateDir],
        warnings,
      };
    }
    return {
      files: [{ name: target, text: withHeading(heading, deployment, lines(...comments(warnings), site(described))) }],
      warnings,
      directories:
        stateDir === undefined ? [] : [stateDir, ...(target === 'lighttpd' ? [join(stateDir, EMPTY_ROOT)] : [])],
    };
  }
  const files = await ownFiles(target, deployment, options);
  const notes = NOTES[target]?.(deployment, options) ?? [];
  return {
    files: files.map((file, index) => ({
      ...file,
      text: withHeading(heading, deployment, lines(...(index === 0 ? comments(notes) : []), file.text)),
    })),
    directories: [],
    warnings: notes,
  };
}

function comments(notes: readonly string[]): string[] {
  return notes.map((note) => `# ${note}`);
}

/** Which servers are not in a configuration. Only nginx chooses a server by the request. */
function serverNotes(target: string, deployment: Deployment, { section, webSockets }: Site): string[] {
  const sections = [deployment, ...deployment.others].map((each) => each.section);
  const left = sections.filter((each) => each !== section && each !== webSockets?.section);
  const notes = left.map((each) => `[server:${each}] is not in this configuration: --server-section ${each} writes it`);
  if (!webSockets || target === 'nginx') return notes;
  return [
    `this is [server:${section}] alone, which carries no WebSockets: ` +
      `--server-section ${webSockets.section} writes [server:${webSockets.section}], for pages and WebSockets`,
    ...notes,
  ];
}

const SERVICE_USER = 'www-data';

/** What the user has to provide besides the files. */
const NOTES: Readonly<Record<string, (deployment: Deployment, options: ExportOptions) => string[]>> = {
  systemd: (deployment, { user = SERVICE_USER, split }) => [
    ...systemdNotes(deployment, user),
    ...(split ? scheduleNotes(deployment.background, 'systemd') : []),
  ],
  docker: (deployment) => [...dockerfileNotes(deployment), ...containerNotes(deployment), ...dockerNotes(deployment)],
  kubernetes: (deployment, options) => [
    ...containerNotes(deployment),
    ...kubernetesNotes(deployment),
    ...scheduleNotes(deployment.background, 'Kubernetes'),
    ...(deployment.hasServer ? podResources(deployment, options).warnings : []),
  ],
};

/** Caddy recognizes a Caddyfile by its name, and takes every other file for JSON. */
function isCaddyfile(output: string | undefined): boolean {
  return output === undefined || /^Caddyfile(?!.*\.json$)/.test(basename(output));
}

async function ownFiles(target: string, deployment: Deployment, options: ExportOptions): Promise<ExportedFile[]> {
  const health = healthOf(deployment, options.health);
  switch (target) {
    case 'systemd':
      return systemdUnits(deployment, options.user ?? SERVICE_USER, options.split);
    case 'docker':
      return [
        { name: 'Dockerfile', text: dockerfile(deployment, health) },
        { name: '.dockerignore', text: dockerignore(deployment), isCompanion: true },
      ];
    default: {
      const text = kubernetesObjects(deployment, await readFile(deployment.file, 'utf8'), {
        image: imageOf(options.image ?? `${deployment.name}:latest`),
        serverName: checkedServerName(options.serverName),
        maxBodyMiB: maxBodyMiB(options.maxBody, deployment.layout),
        health,
        resources: podResources(deployment, options),
      });
      return [{ name: `${deployment.name}.yaml`, text }];
    }
  }
}

function refuseOtherOptions(target: string, options: ExportOptions): void {
  const known = OWN_OPTIONS[target] ?? SITE_OPTIONS;
  for (const [name, value] of Object.entries({ ...options, output: undefined })) {
    const given = value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
    const flag = name === 'hosts' ? 'host' : name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (given && !known.some((each) => each === name))
      throw exportError(`--${flag} does not apply to ${target}`, 'leave it out');
  }
}

const PATH = /^\/[A-Za-z0-9._~/-]*$/;

function healthOf({ layout }: Deployment, given: string | undefined): string | undefined {
  if (given === undefined || PATH.test(given)) return given ?? layout.health;
  throw exportError(`--health: ${JSON.stringify(given)} is not a path`, 'allowed: /health');
}

const IMAGE = /^[a-z0-9][A-Za-z0-9._:/@-]{0,254}$/;

function imageOf(text: string): string {
  if (IMAGE.test(text)) return text;
  throw exportError(
    `--image: ${JSON.stringify(text)} is not the name of an image`,
    'allowed: registry.example.org/shop:1.2',
  );
}
