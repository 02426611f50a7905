/** The table of front ends: each documented configuration with what it needs, and with its inherent differences. */
import { spawnSync } from 'node:child_process';
import { expect } from 'vitest';
import { blocksBelow } from '../../helpers/documentation/documentation.ts';
import { whenOver } from '../../helpers/programs/lifetime.ts';
import { findProgram, serve } from '../../helpers/programs/program.ts';
import { runApache } from '../../helpers/web-servers/apache.ts';
import { runLighttpd } from '../../helpers/web-servers/lighttpd.ts';
import { runNginx } from '../../helpers/web-servers/nginx.ts';
import type { RunningWebServer } from '../../helpers/web-servers/web-server.ts';
import { at, type Behaviour, type BehaviourName, BIG, json, leaves } from './behaviours.ts';
import { Project, type Site } from './site.ts';

export interface FrontEnd {
  /** The page of the configuration, and the heading above it. */
  readonly page: string;
  readonly heading: string;
  readonly prefix: '' | '/app';
  /** The system programs that it needs; the web server first. */
  readonly programs: readonly ['nginx' | 'lighttpd' | 'apache2', ...string[]];
  /** The Apache modules that it needs. */
  readonly modules?: readonly string[];
  /** Starts the application, or creates what the web server needs to start it. */
  readonly start: (project: Project, server?: string) => Promise<void>;
  /** The name in bin/ of the second block below the heading. */
  readonly script?: string;
  /** The number of concurrent clients, if each costs a process; default: 20. */
  readonly clients?: number;
  readonly differs?: Differences;
}

export type Differences = Partial<Record<BehaviourName, Difference>>;

/** Something that a front end does differently, whatever server is behind it. */
export interface Difference {
  /** The text in docs/web-servers.md. */
  readonly why: string;
  readonly instead: Behaviour;
}

// --- how the application runs --------------------------------------------------------------------------------------------

type Start = FrontEnd['start'];

function served(gateway: 'fastcgi' | 'scgi', file: string): Start {
  return async (project) => {
    const server = `[server:main]\nuse = npm:paster#${gateway}\nsocket = %(here)s/../var/${file}`;
    await serve([project.ini('config.ini', server)]);
  };
}

const fastcgi = served('fastcgi', 'fcgi-socket');
const scgi = served('scgi', 'scgi-socket');

/** Runs the INI file below the heading. */
function servedAsDocumented(page: string, heading: string): Start {
  return async (project) => {
    const [, ini = ''] = blocksBelow(page, heading);
    await serve([project.ini('config.ini', ini)]);
  };
}

/** The web server starts it for each request. */
async function cgi(project: Project): Promise<void> {
  project.ini('config.ini', '[server:main]\nuse = npm:paster#http');
}

/** @param server the section of the server. Default: as in the documentation. */
export async function onDescriptor0(project: Project, server?: string): Promise<void> {
  const [ini = '', script = ''] = blocksBelow('docs/web-servers.md', 'Started by another program');
  project.ini('fcgi.ini', server ?? ini);
  project.program('app.fcgi', script);
  whenOver(() => project.end());
}

export async function spawned(project: Project, server?: string): Promise<void> {
  await onDescriptor0(project, server);
  const [command = ''] = blocksBelow('docs/web-servers.md', 'spawn-fcgi');
  const { status } = spawnSync('/bin/sh', ['-c', project.adapt(command)], { stdio: 'ignore' });
  expect(status).toBe(0);
}

// --- differences ---------------------------------------------------------------------------------------------------------

const CUT: Differences = {
  'a response of unknown length that breaks off': {
    why: 'takes the end of the connection for the end of the response',
    async instead(site) {
      const reply = await at(site, '/break');
      expect(reply).toMatchObject({ status: 200, complete: true });
      // mod_fcgid appends an error page; a CGI program ends before all its output has been sent.
      expect(reply.body.toString('latin1')).toMatch(/^x+(<|$)/);
    },
  },
};

const NOTICES_WHEN_SENDING: Differences = {
  'a client that leaves while nothing is sent': {
    why: 'notices only on sending that the client has left',
    instead: (site) => leaves(site, '/endless?silent', () => site.project.release()),
  },
};

const CGI_FCGI: Differences = {
  ...CUT,
  ...NOTICES_WHEN_SENDING,
  'a chunked request body': {
    why: 'drops a request body without Content-Length',
    async instead(site) {
      // cgi-fcgi may end before Apache has written the whole body, and then the response is lost as well.
      const reply = await at(site, '/echo', { method: 'POST', body: ['one', 'two'] }).catch(() => undefined);
      if (reply) expect(json(reply)).toMatchObject({ length: 0 });
      expect((await at(site, '/query')).status).toBe(200);
    },
  },
  'a response before the body is read': {
    why: 'may lose a response that comes before the body was read',
    async instead(site) {
      await at(site, '/refuse', { method: 'POST', body: BIG.subarray(0, 500_000) }).catch(() => {});
      expect((await at(site, '/query')).status).toBe(200);
    },
  },
};

// --- the table ---------------------------------------------------------------------------------------------------------

const NO_CHUNKS: Differences = {
  'a chunked request body': {
    why: 'refuses a request body without Content-Length',
    async instead(site) {
      expect((await at(site, '/echo', { method: 'POST', body: ['one', 'two'] })).status).toBe(411);
    },
  },
};

const NGINX = { page: 'docs/nginx.md', programs: ['nginx'] } as const;
const LIGHTTPD = { page: 'docs/lighttpd.md', programs: ['lighttpd'], differs: NOTICES_WHEN_SENDING } as const;
const APACHE = { page: 'docs/apache.md', programs: ['apache2'], differs: NOTICES_WHEN_SENDING } as const;
const PROXY_FCGI = { ...APACHE, modules: ['proxy', 'proxy_fcgi'], start: fastcgi };
const PROXY_SCGI = {
  ...APACHE,
  modules: ['proxy', 'proxy_scgi'],
  start: scgi,
  differs: { ...CUT, ...NOTICES_WHEN_SENDING, ...NO_CHUNKS },
};
const FCGID = {
  ...APACHE,
  modules: ['fcgid'],
  start: onDescriptor0,
  script: 'app.fcgi',
  differs: { ...CUT, ...NOTICES_WHEN_SENDING },
};
const CGI = {
  ...APACHE,
  modules: ['cgid'],
  start: cgi,
  script: 'app.cgi',
  clients: 8,
  differs: { ...CUT, ...NOTICES_WHEN_SENDING },
};
const BRIDGE = {
  page: APACHE.page,
  programs: ['apache2', 'cgi-fcgi'],
  modules: ['cgid'],
  script: 'app.cgi',
  differs: CGI_FCGI,
} as const;

export const FRONT_ENDS: readonly FrontEnd[] = [
  { ...NGINX, heading: 'FastCGI', prefix: '', start: fastcgi },
  { ...NGINX, heading: 'FastCGI below a prefix', prefix: '/app', start: fastcgi },
  {
    ...NGINX,
    programs: ['nginx', 'spawn-fcgi'],
    heading: 'FastCGI, a connection for each request',
    prefix: '',
    start: spawned,
    differs: CUT,
  },
  { ...NGINX, heading: 'SCGI', prefix: '', start: scgi, differs: CUT },
  { ...NGINX, heading: 'SCGI below a prefix', prefix: '/app', start: scgi, differs: CUT },
  { ...LIGHTTPD, heading: 'FastCGI', prefix: '', start: fastcgi },
  { ...LIGHTTPD, heading: 'FastCGI below a prefix', prefix: '/app', start: fastcgi },
  {
    ...LIGHTTPD,
    heading: 'FastCGI at the root without fix-root-scriptname',
    prefix: '',
    start: servedAsDocumented(LIGHTTPD.page, 'FastCGI at the root without fix-root-scriptname'),
  },
  { ...LIGHTTPD, heading: 'A FastCGI program that Lighttpd starts', prefix: '/app', start: onDescriptor0 },
  { ...LIGHTTPD, heading: 'SCGI', prefix: '', start: scgi, differs: { ...CUT, ...NOTICES_WHEN_SENDING } },
  {
    ...LIGHTTPD,
    heading: 'SCGI below a prefix',
    prefix: '/app',
    start: scgi,
    differs: { ...CUT, ...NOTICES_WHEN_SENDING },
  },
  {
    ...LIGHTTPD,
    heading: 'CGI',
    prefix: '/app',
    start: cgi,
    script: 'app.cgi',
    clients: 8,
    differs: { ...CUT, ...NOTICES_WHEN_SENDING },
  },
  { ...PROXY_FCGI, heading: 'FastCGI by mod_proxy_fcgi', prefix: '' },
  { ...PROXY_FCGI, heading: 'FastCGI by mod_proxy_fcgi below a prefix', prefix: '/app' },
  { ...FCGID, heading: 'FastCGI by mod_fcgid', prefix: '' },
  { ...FCGID, heading: 'FastCGI by mod_fcgid below a prefix', prefix: '/app' },
  { ...PROXY_SCGI, heading: 'SCGI by mod_proxy_scgi', prefix: '' },
  {
    ...PROXY_SCGI,
    heading: 'SCGI by mod_proxy_scgi below a prefix',
    prefix: '/app',
    start: servedAsDocumented(APACHE.page, 'SCGI by mod_proxy_scgi below a prefix'),
  },
  { ...CGI, heading: 'CGI', prefix: '' },
  { ...CGI, heading: 'CGI below a prefix', prefix: '/app' },
  { ...CGI, heading: 'An INI file as a CGI script', prefix: '/app', script: 'app.ini' },
  { ...BRIDGE, heading: 'cgi-fcgi', prefix: '', start: fastcgi },
  { ...BRIDGE, heading: 'cgi-fcgi that starts the server', prefix: '/app', start: onDescriptor0 },
];

/** A project and a web server, set up as documented. @param edit further changes of the operator to the configuration. */
export async function startSite(frontEnd: FrontEnd, edit: (text: string) => string = (text) => text): Promise<Site> {
  const project = new Project();
  await frontEnd.start(project);
  const blocks = blocksBelow(frontEnd.page, frontEnd.heading);
  const [configuration = '', script] = blocks.map((block) => project.adapt(block));
  if (frontEnd.script !== undefined && script !== undefined) project.program(frontEnd.script, script);
  const { prefix, clients = 20 } = frontEnd;
  return { project, prefix, clients, server: await startWebServer(frontEnd, edit(configuration)) };
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
