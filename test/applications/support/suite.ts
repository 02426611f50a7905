/** What every product must do under paster exactly as under plain `node`, without changes to its program. */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import {
  eventually,
  freePort,
  needProgram,
  Program,
  paster,
  requireTool,
  serve,
} from '../../helpers/programs/program.ts';
import { startNginx } from '../../helpers/web-servers/front-end.ts';
import type { Application, BelowPrefix, Visit } from './catalogue.ts';
import { install, installWithIni, PREFIX } from './install.ts';
import { type Seen, Visitors, visitAll } from './visitor.ts';

/** The first HUP replaces the workers that started with the server, the second one those that a HUP has started. */
const HUPS = 2;
const ENV = { NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1', ASTRO_TELEMETRY_DISABLED: '1' };

/** What the program does under `node server.js`. @param env variables for it */
async function seenUnderNode(
  { program, argsFor, ready = '/', visits }: Application,
  directory: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Seen[]> {
  const port = await freePort();
  const args = [program, ...(argsFor?.(port) ?? [])];
  const plain = new Program(process.execPath, args, { cwd: directory, env: { ...ENV, ...env, PORT: String(port) } });
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => {
    if (plain.child.exitCode !== null) throw new Error(`it ended under node:\n${plain.output}`);
    return fetch(url + ready).then(
      ({ ok }) => ok || ready === '/',
      () => false,
    );
  });
  const seen = await visitAll(url, visits);
  await plain.kill('SIGKILL');
  return seen;
}

/** What the program must show below PREFIX, where its `below` mounts it: the same as under `node`. */
function seenUnderNodeBelow(application: Application, below: BelowPrefix, directory: string): Promise<Seen[]> {
  const visits = below.mount === 'whole' ? belowPrefix(application.visits) : application.visits;
  return seenUnderNode({ ...application, ...below, visits }, directory, below.environment);
}

function belowPrefix(visits: readonly Visit[]): Visit[] {
  return visits.map((visit) => ({ ...visit, path: PREFIX + visit.path }));
}

/** Removes the prefix, which only some programs write, and what depends on the length of the body. */
function withoutPrefix(seen: readonly Seen[]): unknown[] {
  return seen.map(({ asked, status, headers: { 'content-length': _, etag: __, ...headers }, body }) => ({
    asked: asked.replace(PREFIX, ''),
    status,
    headers: JSON.parse(JSON.stringify(headers).replaceAll(PREFIX, '')),
    body: body.replaceAll(PREFIX, ''),
  }));
}

export function testApplication(application: Application): void {
  const { product, title, visits, edited, printedOnTerm, webSocket } = application;
  const start = (directory: string, spec: string, ...args: readonly string[]): Promise<Program & { url: string }> =>
    serve([spec, '-v', ...args], { cwd: directory, env: ENV });

  /** The status of the first request, with an INI file that does not say when the program is ready. */
  const firstStatus = async (url: string): Promise<number | undefined> => {
    const status = async (): Promise<number | undefined> => (await visitAll(url, visits.slice(0, 1)))[0]?.status;
    if (application.ready !== undefined) await eventually(async () => (await status()) === 200);
    return status();
  };

  describe.skipIf(requireTool(product) === undefined)(title, () => {
    let directory: string;
    let expected: readonly Seen[];
    let program: Program & { url: string };
    beforeSuite(async () => {
      directory = installWithIni(application);
      expected = await seenUnderNode(application, directory);
      program = await start(directory, 'servers.ini', '--server-name', 'http', '--server-name', 'fastcgi');
    });

    test('responds over HTTP and over FastCGI behind nginx as under node', async () => {
      const nginx = needProgram('nginx');
      expect(expected[0]?.status).toBe(200);
      expect(await visitAll(program.url, visits)).toEqual(expected);
      const site = await startNginx(nginx, { socket: join(directory, 'app.sock') });
      expect(await visitAll(site.url, visits)).toEqual(expected);
    });

    // Ends `program`: the tests after this one start their own.
    if (webSocket) {
      test('talks over a WebSocket and ends within two seconds while it is open', async () => {
        const { path, send, receive } = webSocket;
        const socket = new WebSocket(program.url.replace('http', 'ws') + path);
        const received: string[] = [];
        socket.on('message', (data) => received.push(String(data)));
        await once(socket, 'open');
        socket.send(send);
        await eventually(() => received.some((each) => receive.test(each)));
        const closed = once(socket, 'close');
        const begun = performance.now();
        await program.kill('SIGTERM');
        expect(performance.now() - begun).toBeLessThan(2000);
        await closed;
      });
    }

    test(`responds below ${PREFIX} as under node`, async () => {
      const { below } = application;
      const home = installWithIni(application);
      const wanted = below ? await seenUnderNodeBelow(application, below, home) : expected;
      // Some frameworks redirect from the prefix to the prefix with a slash.
      expect(wanted.map(({ status }) => status)).toContain(200);
      const { url } = await start(home, 'below.ini');
      const seen = await visitAll(url, belowPrefix(visits));
      if (below?.mount === 'whole') expect(seen).toEqual(wanted);
      else expect(withoutPrefix(seen)).toEqual(withoutPrefix(wanted));
    });

    test('needs no INI file', async () => {
      const program = await start(install(application), application.served ?? '.', '--port', '0');
      expect(program.output).toMatch(/^serving listen:/m);
      expect(await firstStatus(program.url)).toBe(200);
    });

    /** Edits the program that is served under --reload. */
    const edit = async (file: string, url: string): Promise<void> => {
      const body = async (): Promise<string> => (await visitAll(url, visits.slice(0, 1)))[0]?.body ?? '';
      expect(await body()).toContain('Hello');
      writeFileSync(file, readFileSync(file, 'utf8').replace('Hello', 'Goodbye'));
      await eventually(async () => (await body()).includes('Goodbye'));
    };

    // If paster finds another program of the directory, `create .` writes no file for this one.
    const isCreated = application.served === undefined;
    // The files of `create .` do not say that the program runs in only one process at a time.
    const isEditedAsCreated = edited !== undefined && isCreated && !application.isExclusive;

    if (isCreated) {
      test(`is served by what create . writes${isEditedAsCreated ? ', and takes an edit under --reload' : ''}`, async () => {
        const directory = install(application);
        const { status, stderr } = await paster(['create', '.'], { cwd: directory, env: ENV }).finished();
        expect([status, stderr]).toEqual([0, '']);
        const reload = isEditedAsCreated ? ['--reload'] : [];
        for (const [file, ...options] of [['etc/config.ini'], ['etc/develop.ini', ...reload]] as const) {
          const { url } = await start(directory, file, '--port', '0', ...options);
          expect(await firstStatus(url)).toBe(200);
          if (options.length > 0) await edit(join(directory, edited ?? ''), url);
        }
      });
    }

    if (edited !== undefined && !isEditedAsCreated) {
      test('takes an edit under --reload', async () => {
        const directory = installWithIni(application);
        const { url } = await start(directory, 'http.ini', '--reload');
        await edit(join(directory, edited), url);
      });
    }

    test(`loses no request in ${HUPS} HUPs with ${application.isExclusive ? 'one worker' : 'two workers'}`, async () => {
      const [first = { path: '/' }] = visits;
      const program = await start(installWithIni(application), 'workers.ini');
      const [seen] = await visitAll(program.url, [first]);
      const visitors = new Visitors(program.url + first.path, seen?.status ?? 200);
      for (let round = 1; round <= HUPS; round++) {
        const before = visitors.answered;
        program.child.kill('SIGHUP');
        await eventually(() => program.output.match(/^reloaded$/gm)?.length === round);
        await eventually(() => visitors.answered > before + 10 || visitors.failures.length > 0);
      }
      await visitors.stop();
      expect(visitors.failures).toEqual([]);
      const { status, stdout, stderr } = await program.kill('SIGTERM');
      expect(status).toBe(0);
      // Each worker lets its program finish: the workers that a HUP has replaced, and the last ones.
      if (printedOnTerm) {
        const printed = (stdout + stderr).match(new RegExp(printedOnTerm.source, 'gm'));
        expect(printed).toHaveLength(2 * (HUPS + 1));
      }
    }, 600_000);
  });
}
