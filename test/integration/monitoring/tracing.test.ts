/** `preload` with the real OpenTelemetry: every request produces a span that arrives, however its process ends. */
import { once } from 'node:events';
import { symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { toolDirectory } from '../../../scripts/test-tools/tools.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { Load } from '../../helpers/programs/load.ts';
import { eventually, requireProgram, requireTool, serve } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { startNginx } from '../../helpers/web-servers/front-end.ts';

const openTelemetry = requireTool('opentelemetry');
const nginx = requireProgram('nginx');

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface Span {
  readonly attributes: readonly Attribute[];
}

interface Exported {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly { readonly scope: { readonly name: string }; readonly spans: readonly Span[] }[];
  }[];
}

function valuesOf({ attributes }: Span): Readonly<Record<string, unknown>> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}

/** Receives spans by OTLP over HTTP, as JSON. */
async function startCollector() {
  const received: { readonly scope: string; readonly path: unknown }[] = [];
  const resources = new Map<string, Readonly<Record<string, unknown>>>();
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk);
    const { resourceSpans = [] } = JSON.parse(Buffer.concat(chunks).toString()) as Exported;
    for (const { resource, scopeSpans } of resourceSpans) {
      const attributes = Object.fromEntries(
        resource.attributes.map(({ key, value }) => [key, Object.values(value)[0]]),
      );
      resources.set(String(attributes['service.instance.id']), attributes);
      for (const { scope, spans } of scopeSpans) {
        for (const span of spans) received.push({ scope: scope.name, path: valuesOf(span)['url.path'] });
      }
    }
    res.setHeader('content-type', 'application/json').end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** The number of spans of an instrumentation, without those of nginx's first request. */
    of: (name: string) =>
      received.filter(({ scope, path }) => scope === `@opentelemetry/instrumentation-${name}` && path !== '/').length,
    resources: () => [...resources.values()],
  };
}

const APP = `import express from 'express';
export default express().all('/crash', () => setImmediate(() => { throw new Error('crashed') })).use(async (req, res) => {
  const parts = [];
  for await (const part of req) parts.push(part);
  res.end(Buffer.concat([Buffer.from('one ' + process.pid + ' ' + req.method + ' ' + req.url + ' '), ...parts]));
});
`;

/** Instruments the libraries of an ES module. */
const INSTRUMENTATION = `import { register } from 'node:module';
register('@opentelemetry/instrumentation/hook.mjs', import.meta.url);
await import('@opentelemetry/auto-instrumentations-node/register');
`;

async function site(
  endpoint: string,
  server: string,
  { preload = './instrumentation.js', args = [] as string[] } = {},
) {
  const cwd = temporaryDirectory({
    'package.json': '{"name": "shop", "version": "1.2.3", "type": "module"}',
    'app.js': APP,
    'instrumentation.js': INSTRUMENTATION,
    'x.ini': `[app:main]
use = module:./app.js
[server:main]
${server}
preload = ${preload}
environment =
  OTEL_EXPORTER_OTLP_ENDPOINT=${endpoint}
  OTEL_EXPORTER_OTLP_PROTOCOL=http/json
  OTEL_METRICS_EXPORTER=none
  OTEL_LOGS_EXPORTER=none
  OTEL_NODE_RESOURCE_DETECTORS=env,host
  OTEL_NODE_ENABLED_INSTRUMENTATIONS=http,express
  OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test
`,
  });
  symlinkSync(join(toolDirectory({ name: 'opentelemetry' }), 'node_modules'), join(cwd, 'node_modules'));
  return { cwd, program: await serve(['x.ini', ...args], { cwd }) };
}

// Each worker imports all of OpenTelemetry.
test.skipIf(!openTelemetry)('over five HUPs under load, all spans arrive', { timeout: 240_000 }, async () => {
  const collector = await startCollector();
  const { program } = await site(collector.endpoint, 'use = npm:paster#http\nport = 0\nworkers = 1', {
    preload: '@opentelemetry/auto-instrumentations-node/register',
  });
  const load = new Load(program.url, { clients: 4, pause: 5 });
  onTestFinished(() => load.stop());
  for (let round = 1; round <= 5; round++) {
    const before = load.answered;
    process.kill(program.pid, 'SIGHUP');
    await eventually(() => [...program.stderr.matchAll(/reloaded/g)].length >= round && load.answered > before + 20);
  }
  await load.stop();
  await program.kill('SIGTERM');
  expect(load.failures).toEqual([]);
  expect(collector.of('http')).toBe(load.answered);
  const resources = collector.resources();
  expect(resources.length).toBeGreaterThanOrEqual(5);
  expect(new Set(resources.map((each) => each['paster.worker'])).size).toBe(resources.length);
  expect(resources[0]).toMatchObject({
    'service.name': 'shop',
    'service.version': '1.2.3',
    'deployment.environment.name': 'test',
  });
});

test.skipIf(!openTelemetry || !nginx)(
  'spans arrive from FastCGI behind nginx, with the libraries of an ES module',
  async () => {
    const collector = await startCollector();
    const { cwd, program } = await site(
      collector.endpoint,
      'use = npm:paster#fastcgi\nsocket = a.sock\nmode = 666\nworkers = 1',
    );
    const { url } = await startNginx(nginx ?? '', { socket: join(cwd, 'a.sock') });
    for (let count = 0; count < 5; count++) expect((await ask(url, `/${count}`)).status).toBe(200);
    process.kill(program.pid, 'SIGHUP');
    await program.says(/reloaded/);
    for (let count = 0; count < 5; count++) expect((await ask(url, `/${count}`)).status).toBe(200);
    await program.kill('SIGTERM');
    expect(collector.of('http')).toBe(10);
    expect(collector.of('express')).toBeGreaterThanOrEqual(10);
  },
);

test.skipIf(!openTelemetry).each([
  ['INT, with workers', '\nworkers = 1', 'SIGINT'],
  ['TERM, one process', '', 'SIGTERM'],
  ['INT, one process', '', 'SIGINT'],
] as const)('all spans arrive after %s', async (_what, settings, signal) => {
  const collector = await startCollector();
  const { program } = await site(collector.endpoint, `use = npm:paster#http\nport = 0${settings}`);
  for (let count = 0; count < 5; count++) await ask(program.url, `/${count}`);
  await program.kill(signal);
  expect(collector.of('http')).toBe(5);
});

test.skipIf(!openTelemetry).each([
  ['with workers', '\nworkers = 1'],
  ['one process', ''],
])('all spans arrive before an uncaught error ends the process: %s', async (_what, settings) => {
  const collector = await startCollector();
  const { program } = await site(collector.endpoint, `use = npm:paster#http\nport = 0${settings}`);
  for (let count = 0; count < 5; count++) await ask(program.url, `/${count}`);
  await expect(ask(program.url, '/crash')).rejects.toThrow();
  await program.says(/ended with status 1: .*crashed/);
  await eventually(() => collector.of('http') >= 5);
});

test.skipIf(!openTelemetry)('spans arrive with max_requests, and after an edit with serve --reload', async () => {
  const collector = await startCollector();
  const { cwd, program } = await site(
    collector.endpoint,
    'use = npm:paster#http\nport = 0\nworkers = 1\nmax_requests = 5',
    { args: ['--reload'] },
  );
  for (let count = 0; count < 12; count++) expect((await ask(program.url, `/${count}`)).status).toBe(200);
  writeFileSync(join(cwd, 'app.js'), APP.replace("'one '", "'two '"));
  let asked = 12;
  await eventually(async () => {
    asked++;
    return String((await ask(program.url, `/${asked}`)).body).startsWith('two ');
  });
  await program.kill('SIGTERM');
  expect(collector.of('http')).toBe(asked);
  expect(collector.of('express')).toBeGreaterThanOrEqual(asked);
});
