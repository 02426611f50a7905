/** Servers that a web server or spawn-fcgi has started: how they end, and that none of them stays. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { eventually, requireProgram } from '../helpers/programs/program.ts';
import { askForStart } from '../helpers/requests/ask.ts';
import { at } from './support/behaviours.ts';
import { FRONT_ENDS, startSite } from './support/front-ends.ts';
import type { Site } from './support/site.ts';

function start(heading: string, server?: string): Promise<Site> {
  const frontEnd = FRONT_ENDS.find((each) => each.heading === heading);
  if (frontEnd === undefined) throw new Error(`no front end "${heading}"`);
  const { start: prepare } = frontEnd;
  return startSite({ ...frontEnd, start: (project) => prepare(project, server) });
}

const WORKERS = '[server:main]\nuse = npm:paster#fastcgi\nworkers = 2';

/** A stream that is open while something happens to the web server. */
async function streamWhile(site: Site, act: () => Promise<unknown>): Promise<string> {
  const { first, rest } = await askForStart(site.server.url, `${site.prefix}/events`);
  expect(first).toBe('data: first\n\n');
  await act();
  site.project.release();
  return rest;
}

/** The sockets of a process, one entry for each descriptor. */
function socketsOf(pid: string): string[] {
  const links = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return [];
    }
  });
  return links.filter((link) => link.startsWith('socket:'));
}

const STARTERS = [
  { heading: 'A FastCGI program that Lighttpd starts', program: 'lighttpd', graceful: 'SIGINT', restart: 'SIGUSR1' },
  { heading: 'FastCGI by mod_fcgid', program: 'apache2', graceful: 'SIGWINCH', restart: 'SIGUSR1' },
] as const;

describe.each(STARTERS)('$heading', ({ heading, program, graceful, restart }) => {
  const missing = requireProgram(program) === undefined;

  test.skipIf(missing).each([
    ['one process', undefined],
    ['workers', WORKERS],
  ])('ends with the web server: %s', async (_what, server) => {
    const site = await start(heading, server);
    expect((await at(site, '/query')).status).toBe(200);
    expect(site.project.running.length).toBeGreaterThan(0);
    await site.server.program.kill('SIGTERM');
    await eventually(() => site.project.running.length === 0);
  });

  test.skipIf(missing)('finishes what is in flight when the web server stops gracefully', async () => {
    const site = await start(heading);
    const text = await streamWhile(site, async () => {
      site.server.program.child.kill(graceful);
      await eventually(() => /graceful/i.test(readFileSync(site.server.errorLog, 'utf8')));
    });
    expect(text).toBe('data: first\n\ndata: last\n\n');
    await site.server.program.finished();
    await eventually(() => site.project.running.length === 0);
  });

  test.skipIf(missing)('starts again after the web server has reloaded its configuration', async () => {
    const site = await start(heading);
    await at(site, '/query');
    const before = site.project.running;
    site.server.program.child.kill(restart);
    await eventually(async () => {
      const reply = await at(site, '/query').catch(() => undefined);
      return reply?.status === 200 && !before.includes(JSON.parse(String(reply.body)).pid);
    });
    await eventually(() => !before.some((pid) => site.project.running.includes(pid)));
  });
});

describe('spawn-fcgi', () => {
  const missing = requireProgram('spawn-fcgi') === undefined || requireProgram('nginx') === undefined;

  test.skipIf(missing).each([
    ['one process', undefined],
    ['workers', WORKERS],
  ])('drains after TERM to the process of its pid file: %s', async (_what, server) => {
    const site = await start('FastCGI, a connection for each request', server);
    const pid = Number(readFileSync(site.project.path('var/app.pid'), 'utf8'));
    expect(site.project.running).toContain(pid);
    expect((await at(site, '/query')).status).toBe(200);
    const workers = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
    expect(workers.length).toBe(server === undefined ? 0 : 2);
    // A second descriptor would keep the socket open after the worker has closed the first one.
    for (const each of workers) expect(socketsOf(each).length).toBe(new Set(socketsOf(each)).size);
    const text = await streamWhile(site, async () => {
      process.kill(pid, 'SIGTERM');
      await eventually(async () => (await at(site, '/query')).status === 502);
    });
    expect(text).toBe('data: first\n\ndata: last\n\n');
    await eventually(() => site.project.running.length === 0);
  });
});
