/** The order of the pages. test/documentation/links.test.ts finds a page that is missing here. */
import type { DefaultTheme } from 'vitepress';

type Entry = readonly [text: string, link: string];

function group(text: string, entries: readonly Entry[]): DefaultTheme.SidebarItem {
  return { text, items: entries.map(([entry, link]) => ({ text: entry, link })) };
}

export const NAV: DefaultTheme.NavItem[] = [
  { text: 'Guide', link: '/introduction' },
  { text: 'Deploy', link: '/web-servers' },
  { text: 'Reference', link: '/reference' },
  { text: 'Troubleshoot', link: '/troubleshoot' },
];

export const SIDEBAR: DefaultTheme.SidebarItem[] = [
  group('Guide', [
    ['Introduction', '/introduction'],
    ['Why paster', '/guide/why'],
    ['The INI file in five minutes', '/guide/ini-in-five-minutes'],
    ['Quick start', '/introduction#quick-start'],
    ['Tutorial', '/tutorial'],
    ['Your existing app', '/guide/existing-app'],
    ['Programs that listen', '/programs'],
    ['Create a project', '/create'],
    ['TypeScript', '/guide/typescript'],
    ['Errors and debugging', '/guide/debugging'],
    ['The terminal', '/terminal'],
    ['Comparison', '/comparison'],
  ]),
  group('Frameworks', [
    ['Express', '/frameworks/express'],
    ['Fastify', '/frameworks/fastify'],
    ['Hono, h3 and Koa', '/frameworks/hono'],
    ['NestJS', '/frameworks/nestjs'],
    ['Next.js', '/frameworks/nextjs'],
    ['Nuxt', '/frameworks/nuxt'],
    ['SvelteKit', '/frameworks/sveltekit'],
    ['Astro', '/frameworks/astro'],
    ['React Router', '/frameworks/react-router'],
    ['Socket.IO', '/frameworks/socket-io'],
    ['Others', '/frameworks/others'],
  ]),
  group('Deploy', [
    ['Web servers', '/web-servers'],
    ['nginx', '/nginx'],
    ['Lighttpd', '/lighttpd'],
    ['Apache', '/apache'],
    ['Caddy', '/caddy'],
    ['HAProxy', '/haproxy'],
    ['paster export', '/export'],
    ['systemd', '/processes#under-systemd'],
    ['Docker', '/containers#docker'],
    ['Docker Compose', '/docker-compose'],
    ['Kubernetes', '/containers#kubernetes'],
    ['HTTPS', '/https'],
    ['Several servers', '/servers'],
    ['PROXY protocol', '/proxy-protocol'],
    ['Many machines', '/scaling'],
  ]),
  group('Operate', [
    ['Processes and signals', '/processes'],
    ['Background processes', '/background-processes'],
    ['Scheduled tasks', '/scheduled-tasks'],
    ['Zero-downtime reload', '/reload'],
    ['Logging', '/logging'],
    ['JSON logging', '/json-logging'],
    ['Health checks', '/health-checks'],
    ['Metrics and status', '/operations'],
    ['Tracing', '/tracing'],
    ['Control a running server', '/control'],
    ['Upgrade paster or Node', '/upgrade'],
    ['Secrets and environment', '/secrets'],
    ['Profiling', '/filters-debugging#profile'],
    ['Security', '/security'],
  ]),
  group('Extend', [
    ['Write parts', '/writing'],
    ['The library', '/library'],
    ['Differences from node:http', '/like-node'],
  ]),
  group('Reference', [
    ['INI dialect', '/ini'],
    ['Sections', '/composing'],
    ['Commands', '/commands'],
    ['serve', '/serve'],
    ['FastCGI, SCGI and CGI', '/gateways'],
    ['Applications', '/applications'],
    ['Static files', '/static'],
    ['CGI scripts', '/cgi-apps'],
    ['Filters', '/filters'],
    ['Filters for logs and errors', '/filters-debugging'],
    ['All settings and options', '/reference'],
    ['Error messages', '/errors'],
    ['Error codes', '/error-codes'],
  ]),
  group('Migrate', [
    ['pm2', '/migrate/pm2'],
    ['nodemon', '/migrate/nodemon'],
    ['forever', '/migrate/forever'],
    ['Procfile', '/migrate/procfile'],
    ['gunicorn', '/migrate/gunicorn'],
    ["Python's paster", '/paste'],
  ]),
  group('Help', [
    ['Troubleshoot', '/troubleshoot'],
    ['Cookbook', '/cookbook'],
    ['Glossary', '/glossary'],
  ]),
  group('Project', [
    ['Changes', '/project/changes'],
    ['Architecture', '/project/architecture'],
    ['Contributing', '/project/contributing'],
    ['Security policy', '/project/security-policy'],
    ['Benchmarks', '/project/benchmarks'],
    ['Benchmark results', '/project/benchmark-results'],
  ]),
];
