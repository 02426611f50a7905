/** The table of front ends: each documented configuration with what it needs, and where it differs by its nature. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { runApache } from '../helpers/apache.ts';
import { blocksBelow } from '../helpers/documentation.ts';
import { whenOver } from '../helpers/lifetime.ts';
import { runLighttpd } from '../helpers/lighttpd.ts';
import { runNginx } from '../helpers/nginx.ts';
import { eventually, findProgram, serve } from '../helpers/program.ts';
import type { RunningWebServer } from '../helpers/web-server.ts';
import type { Behaviour, BehaviourName } from './behaviours.ts';
import { isRunning, Project, type Site } from './site.ts';

export interface FrontEnd {
  /** Where the configuration is documented, and below which heading. */
  readonly page: string;
  readonly heading: string;
  readonly prefix: '' | '/app';
  /** System programs that it takes; the web server first. */
  readonly programs: readonly ['nginx' | 'lighttpd' | 'apache2', ...string[]];
  /** Apache's modules. */
  readonly modules?: readonly string[];
  /** Brings the application up, where the web server does not do so by itself. */
  start?(project: Project): Promise<void>;
  /** What stands in bin/: the second block below the heading. */
  readonly script?: string;
  readonly differs?: Partial<Record<BehaviourName, Difference>>;
}

/** Something that a front end does otherwise, whatever is behind it. */
export interface Difference {
  /** As docs/web-servers.md says it. */
  readonly why: string;
  readonly instead: Behaviour;
}

async function fastcgi(project: Project): Promise<void> {
  await serve([
    project.ini('config.ini', '[server:main]\nuse = npm:paster#fastcgi\nsocket = %(here)s/../var/fcgi-socket'),
  ]);
}

async function onDescriptor0(project: Project): Promise<void> {
  const [ini = '', script = ''] = blocksBelow('docs/web-servers.md', 'Started by somebody else');
  project.ini('fcgi.ini', ini);
  project.program('app.fcgi', script);
  whenOver(() => project.end());
}

async function spawned(project: Project): Promise<void> {
  await onDescriptor0(project);
  const [command = ''] = blocksBelow('docs/web-servers.md', 'spawn-fcgi');
  spawnSync('/bin/sh', ['-c', project.adapt(command)], { stdio: 'ignore' });
}

const NGINX = 'docs/nginx.md';
const LIGHTTPD = 'docs/lighttpd.md';
const APACHE = 'docs/apache.md';

export const FRONT_ENDS: readonly FrontEnd[] = [
  { page: NGINX, heading: 'FastCGI', prefix: '', programs: ['nginx'], start: fastcgi },
  { page: NGINX, heading: 'FastCGI below a prefix', prefix: '/app', programs: ['nginx'], start: fastcgi },
  {
    page: NGINX,
    heading: 'FastCGI, a connection for each request',
    prefix: '',
    programs: ['nginx', 'spawn-fcgi'],
    start: spawned,
  },
  { page: LIGHTTPD, heading: 'FastCGI', prefix: '', programs: ['lighttpd'], start: fastcgi },
  { page: LIGHTTPD, heading: 'FastCGI below a prefix', prefix: '/app', programs: ['lighttpd'], start: fastcgi },
  {
    page: LIGHTTPD,
    heading: 'A FastCGI program that Lighttpd starts',
    prefix: '/app',
    programs: ['lighttpd'],
    start: onDescriptor0,
  },
  {
    page: APACHE,
    heading: 'FastCGI by mod_proxy_fcgi',
    prefix: '',
    programs: ['apache2'],
    modules: ['proxy', 'proxy_fcgi'],
    start: fastcgi,
  },
  {
    page: APACHE,
    heading: 'FastCGI by mod_proxy_fcgi below a prefix',
    prefix: '/app',
    programs: ['apache2'],
    modules: ['proxy', 'proxy_fcgi'],
    start: fastcgi,
  },
  {
    page: APACHE,
    heading: 'FastCGI by mod_fcgid',
    prefix: '',
    programs: ['apache2'],
    modules: ['fcgid'],
    start: onDescriptor0,
    script: 'app.fcgi',
  },
  {
    page: APACHE,
    heading: 'FastCGI by mod_fcgid below a prefix',
    prefix: '/app',
    programs: ['apache2'],
    modules: ['fcgid'],
    start: onDescriptor0,
    script: 'app.fcgi',
  },
  {
    page: APACHE,
    heading: 'cgi-fcgi',
    prefix: '',
    programs: ['apache2', 'cgi-fcgi'],
    modules: ['cgid'],
    start: fastcgi,
    script: 'app.cgi',
  },
  {
    page: APACHE,
    heading: 'cgi-fcgi that starts the server',
    prefix: '/app',
    programs: ['apache2', 'cgi-fcgi'],
    modules: ['cgid'],
    start: onDescriptor0,
    script: 'app.cgi',
  },
];

/** A project and a web server as the documentation says. */
export async function startSite(frontEnd: FrontEnd): Promise<Site> {
  const project = new Project();
  await frontEnd.start?.(project);
  const [configuration = '', script] = blocksBelow(frontEnd.page, frontEnd.heading).map((block) =>
    project.adapt(block),
  );
  if (frontEnd.script !== undefined && script !== undefined) project.program(frontEnd.script, script);
  return { project, prefix: frontEnd.prefix, server: await startWebServer(frontEnd, configuration) };
}

function startWebServer(
  { programs: [name], modules = [] }: FrontEnd,
  configuration: string,
): Promise<RunningWebServer> {
  const binary = findProgram(name) ?? name;
  switch (name) {
    case 'nginx':
      return runNginx(binary, configuration);
    case 'lighttpd':
      return runLighttpd(binary, configuration);
    case 'apache2':
      return runApache(binary, configuration, modules);
  }
}
