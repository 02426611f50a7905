/** What `export` can write: each target by name, as files of text. */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { apacheSite } from './apache.ts';
import { backendTls } from './backend-tls.ts';
import { caddySite } from './caddy.ts';
import { caddyJson } from './caddy-json.ts';
import type { Deployment } from './deployment.ts';
import { dockerfile, dockerignore } from './docker.ts';
import { haproxySite } from './haproxy.ts';
import { kubernetesObjects } from './kubernetes.ts';
import { EMPTY_ROOT, lighttpdSite } from './lighttpd.ts';
import { nginxSite } from './nginx.ts';
import { checkedServerName, maxBodyMiB, mistake, type Site, type SiteOptions, siteOf } from './site.ts';
import { systemdUnits } from './systemd.ts';
import { type ExportedFile, lines } from './text.ts';

/** What the command line can say; a target refuses what means nothing to it. */
export interface ExportOptions extends SiteOptions {
  readonly user: string | undefined;
  readonly image: string | undefined;
  readonly health: string | undefined;
  /** The file that it goes to; undefined: standard output. */
  readonly output: string | undefined;
}

export interface Exported {
  readonly files: readonly ExportedFile[];
  /** The directories that have to be there when the web server starts. */
  readonly directories: readonly string[];
}

const SITES: Readonly<Record<string, (site: Site) => string>> = {
  nginx: nginxSite,
  lighttpd: lighttpdSite,
  apache: apacheSite,
  caddy: caddySite,
  haproxy: haproxySite,
};

/** The options of each target that is no web server. */
const OWN_OPTIONS: Readonly<Record<string, readonly (keyof ExportOptions)[]>> = {
  systemd: ['user'],
  docker: ['health'],
  kubernetes: ['image', 'health', 'serverName', 'maxBody'],
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

/** The names, in the order of the help. */
export const TARGETS: readonly string[] = [...Object.keys(SITES), ...Object.keys(OWN_OPTIONS)];

/** @throws UsageError for what the target cannot express. */
export async function exportTarget(target: string, deployment: Deployment, options: ExportOptions): Promise<Exported> {
  refuseOthers(target, options);
  const site = SITES[target];
  if (site) {
    const described = siteOf(target, deployment, options, backendTls(deployment, options));
    const { stateDir } = described;
    if (target === 'caddy' && stateDir !== undefined && !isCaddyfile(options.output)) {
      return { files: [{ name: target, text: `${caddyJson(described, stateDir)}\n` }], directories: [stateDir] };
    }
    return {
      files: [{ name: target, text: withHeading(target, deployment, site(described)) }],
      directories:
        stateDir === undefined ? [] : [stateDir, ...(target === 'lighttpd' ? [join(stateDir, EMPTY_ROOT)] : [])],
    };
  }
  const files = await ownFiles(target, deployment, options);
  return {
    files: files.map((file) => ({ ...file, text: withHeading(target, deployment, file.text) })),
    directories: [],
  };
}

/** Caddy takes a file for a Caddyfile by its name, and every other one for JSON. */
function isCaddyfile(output: string | undefined): boolean {
  return output === undefined || /^Caddyfile(?!.*\.json$)/.test(basename(output));
}

async function ownFiles(target: string, deployment: Deployment, options: ExportOptions): Promise<ExportedFile[]> {
  const health = healthOf(deployment, options.health);
  switch (target) {
    case 'systemd':
      return systemdUnits(deployment, options.user ?? 'www-data');
    case 'docker':
      return [
        { name: 'Dockerfile', text: dockerfile(deployment, health) },
        { name: '.dockerignore', text: dockerignore(), isCompanion: true },
      ];
    default: {
      const text = kubernetesObjects(deployment, await readFile(deployment.file, 'utf8'), {
        image: imageOf(options.image ?? `${deployment.name}:latest`),
        serverName: checkedServerName(options.serverName),
        maxBodyMiB: maxBodyMiB(options.maxBody, deployment.places),
        health,
      });
      return [{ name: `${deployment.name}.yaml`, text }];
    }
  }
}

function withHeading(target: string, { file }: Deployment, text: string): string {
  return `${lines(`# Made by: paster export ${target} ${JSON.stringify(file)}`, text)}\n`;
}

function refuseOthers(target: string, options: ExportOptions): void {
  const known = OWN_OPTIONS[target] ?? SITE_OPTIONS;
  for (const [name, value] of Object.entries({ ...options, output: undefined })) {
    const given = value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
    const flag = name === 'hosts' ? 'host' : name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (given && !known.some((each) => each === name))
      throw mistake(`--${flag} means nothing for ${target}`, 'leave it out');
  }
}

const PATH = /^\/[A-Za-z0-9._~/-]*$/;

function healthOf({ places }: Deployment, given: string | undefined): string | undefined {
  if (given === undefined || PATH.test(given)) return given ?? places.health;
  throw mistake(`--health: ${JSON.stringify(given)} is not a path`, 'allowed: /health');
}

const IMAGE = /^[a-z0-9][A-Za-z0-9._:/@-]{0,254}$/;

function imageOf(text: string): string {
  if (IMAGE.test(text)) return text;
  throw mistake(
    `--image: ${JSON.stringify(text)} is not the name of an image`,
    'allowed: registry.example.org/shop:1.2',
  );
}
