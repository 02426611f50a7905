/** Frameworks with their own life cycle, as real packages: `npm run test:tools` installs them. */
import { once } from 'node:events';
import { symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { defineWebSocketHandler, H3 } from 'h3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { toApp } from '../../src/protocol/app.ts';
import { enterDirectory, workingDirectory } from '../../src/working-directory.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { eventually, ROOT, requireTool, serve } from '../helpers/programs/program.ts';
import { listen } from './listen.ts';

const manifest = requireTool('frameworks');
/** The directory in which they are installed; any other one if they are not, since nothing runs then. */
const directory = manifest === undefined ? ROOT : join(dirname(manifest), '../..');
const installed = createRequire(join(directory, 'noop.js'));

type Make = (require: NodeJS.Require) => Promise<{ readonly app: object; readonly notes: readonly string[] }>;
const makers = (await import(pathToFileURL(join(ROOT, 'test/fixtures/frameworks/life-cycles.js')).href)) as Readonly<
  Record<string, Make>
>;

describe.skipIf(manifest === undefined)('without changes', () => {
  test.each([
    ['nestOnExpress', ['init', 'destroy']],
    ['nestOnFastify', ['init', 'destroy']],
    ['hapi', ['start', 'stop']],
    ['restify', ['close']],
    ['feathers', ['setup', 'teardown']],
    ['feathersOnKoa', ['setup', 'teardown']],
    ['apollo', []],
    ['polka', []],
  ])('%s starts, serves and ends', async (name, expected) => {
    const made = await makers[name]?.(installed);
    const app = await toApp(made?.app);
    const url = await listen(app);
    const response = await fetch(`${url}/hello`);
    expect([response.status, await response.text()]).toEqual([200, 'hello']);
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
    await app.close?.();
    expect(made?.notes).toEqual(expected);
  });

  test('the shutdown hooks of Nest run once, after the requests in flight', async () => {
    const cwd = temporaryDirectory({
      'main.js': `
        require('reflect-metadata');
        const { existsSync } = require('node:fs');
        const { setTimeout: sleep } = require('node:timers/promises');
        const { NestFactory } = require('@nestjs/core');
        const { Controller, Get, Module } = require('@nestjs/common');
        class Slow {
          async slow() {
            console.log('asked');
            while (!existsSync('go')) await sleep(10);
            console.log('answered');
            return 'slow';
          }
          onModuleDestroy() { console.log('destroyed'); }
          onApplicationShutdown() { console.log('shut down'); }
        }
        Controller()(Slow);
        Get('slow')(Slow.prototype, 'slow', Object.getOwnPropertyDescriptor(Slow.prototype, 'slow'));
        class Root {}
        Module({ controllers: [Slow] })(Root);
        exports.makeApp = async () => (await NestFactory.create(Root, { logger: false })).enableShutdownHooks();
      `,
      'app.ini': '[app:main]\nuse = call:./main.js:makeApp\n[server:main]\nuse = npm:paster#http\nport = 0\n',
    });
    symlinkSync(join(dirname(installed.resolve('reflect-metadata')), '..'), join(cwd, 'node_modules'));
    const program = await serve(['app.ini'], { cwd });
    const responding = fetch(`${program.url}/slow`);
    await program.says(/^asked$/m);
    const ended = program.kill('SIGTERM');
    await eventually(() =>
      fetch(program.url).then(
        () => false,
        () => true,
      ),
    );
    writeFileSync(join(cwd, 'go'), '');
    expect(await (await responding).text()).toBe('slow');
    const { status, stdout } = await ended;
    expect([status, stdout]).toEqual([0, expect.stringMatching(/asked\nanswered\ndestroyed\nshut down\n$/)]);
  });

  test('Apollo Server responds through its integration with Express', async () => {
    const made = await makers['apollo']?.(installed);
    const url = await listen(await toApp(made?.app));
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body: '{"query":"{ hello }"}' });
    expect(await response.json()).toEqual({ data: { hello: 'hello' } });
  });

  test('h3 serves WebSockets through crossws', async () => {
    const before = workingDirectory();
    enterDirectory(directory);
    onTestFinished(() => enterDirectory(before));
    const hooks = { message: (peer: { send(text: string): void }, text: unknown) => peer.send(`echo ${text}`) };
    const url = await listen(await toApp(new H3().get('/socket', defineWebSocketHandler(hooks as never))));
    const client = new WebSocket(`${url.replace('http', 'ws')}/socket`);
    await once(client, 'open');
    client.send('x');
    const [message] = await once(client, 'message');
    client.terminate();
    expect(String(message)).toBe('echo x');
  });

  test('Elysia refuses WebSockets, which it supports only on Bun', async () => {
    const { Elysia } = (await import(pathToFileURL(installed.resolve('elysia')).href)) as {
      readonly Elysia: new () => { get(path: string, handler: () => string): object };
    };
    const app = new Elysia().get('/', () => 'page');
    const client = new WebSocket((await listen(await toApp(app))).replace('http', 'ws'));
    const [, response] = await once(client, 'unexpected-response');
    expect(response.statusCode).toBe(501);
  });
});
