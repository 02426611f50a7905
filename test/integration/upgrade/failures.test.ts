/** Upgrades that fail: the old process keeps running, and the error is reported. */
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mountSmallDisk, temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, isAlive, requireRoot } from '../../helpers/programs/program.ts';
import { HANGING, HTTP, ini, MODES, PASTER, start } from './upgraded-server.ts';

/** A new version that ends with status 0 when it may take over, as after TERM. */
const STOPPED_WHILE_TAKING_OVER = `
if (process.argv[2] === 'upgrade') await import('${PASTER}');
process.on('message', ({ paster }) => paster === 'take-over' && process.exit(0));
process.send({ paster: 'ready', version: '1.0.0', node: process.version });
`;

describe.each(MODES)('%s', (_what, workers) => {
  test('a version that does not load leaves the old one serving, and the error is reported', async () => {
    const site = await start(`${HTTP}\n${workers}`);
    const { pid } = site;
    for (const [file, text, reason] of [
      ['x.ini', ini(`${HTTP}\nprt = 1`), /x\.ini:6:1: \[server:main\] unknown setting "prt" \(did you mean "port"\?\)/],
      ['app.js', 'export default (;\n', /app\.js:1:17: .*SyntaxError/],
      ['app.js', 'process.exit(3);\n', /ended the process while it was loaded|ended with status 3/],
    ] as const) {
      const good = site.read(file);
      site.save(file, text);
      const message = await site.failToUpgrade();
      expect(message).toMatch(/^paster: not upgraded, server \d+ keeps running: /);
      expect(message).toMatch(reason);
      expect(site.program.stderr).toContain('not upgraded, server');
      expect((await fetch(site.url)).status).toBe(200);
      expect(site.pid).toBe(pid);
      site.save(file, good);
    }
    await site.upgrade();
    expect(site.pid).not.toBe(pid);
  });

  test('a version that hangs while it loads is stopped at start_timeout, as at a start', async () => {
    const site = await start(`${HTTP}\nstart_timeout = 1\n${workers}`);
    site.save('app.js', HANGING);
    expect(await site.failToUpgrade()).toMatch(/keeps running: .*(is not serving after 3 s|not ready within 1 s)/);
    expect((await fetch(site.url)).status).toBe(200);
  });

  test('only one upgrade runs at a time', async () => {
    const site = await start(`${HTTP}\n${workers}`);
    const [one, other] = await Promise.all([1, 2].map(() => site.paster(['upgrade', 'x.ini']).finished()));
    expect([one?.status, other?.status].sort()).toEqual([0, 1]);
    expect(`${one?.stderr}${other?.stderr}`).toMatch(/an upgrade is in progress|has taken over already|no server of/);
    expect((await fetch(site.url)).status).toBe(200);
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)('%s to either process during the upgrade', async (signal) => {
    const site = await start(`${HTTP}\n${workers}`);
    site.save('app.js', HANGING);
    // To the new process: the old one keeps running.
    const first = site.paster(['upgrade', 'x.ini']);
    process.kill(await site.startedPid(1), signal);
    expect(await first.finished()).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/keeps running: .*ended/),
    });
    expect((await fetch(site.url)).status).toBe(200);
    // To the old process: both end.
    const second = site.paster(['upgrade', 'x.ini']);
    const successor = await site.startedPid(2);
    process.kill(site.pid, signal);
    expect((await second.finished()).status).toBe(1);
    await site.program.finished();
    await eventually(() => !isAlive(successor));
    // A worker of a killed supervisor needs a moment to notice.
    await eventually(() =>
      fetch(site.url).then(
        () => false,
        () => true,
      ),
    );
  });

  test('a TERM that the new process gets while it takes over stops the server', async () => {
    const site = await start(`${HTTP}\n${workers}`);
    site.save('new.mjs', STOPPED_WHILE_TAKING_OVER);
    const bin = join(site.directory, 'new.mjs');
    const { status, stderr } = await site.paster(['upgrade', 'x.ini'], { bin }).finished();
    expect({ status, stderr }).toEqual({ status: 1, stderr: 'paster: not upgraded: the server stops\n' });
    expect((await site.program.finished()).status).toBe(0);
    expect(readdirSync(site.directory).sort()).toEqual(['app.js', 'new.mjs', 'package.json', 'x.ini']);
  });
});

test('a server with --reload is refused', async () => {
  const site = await start(HTTP, { args: ['--reload'] });
  expect(await site.failToUpgrade()).toMatch(
    /keeps running: it reloads on changes, which is for development \(restart it\)/,
  );
});

describe.runIf(requireRoot())('as root', () => {
  test('the old process keeps running if the new one cannot write its pid file', async () => {
    const disk = join(temporaryDirectory(), 'disk');
    mountSmallDisk(disk);
    const pidFile = join(disk, 'x.pid');
    const site = await start(HTTP, { args: ['--pid-file', pidFile, '--workers', '1'] });
    writeFileSync(join(disk, 'full'), '');
    expect(() => appendFileSync(join(disk, 'full'), Buffer.alloc(1_000_000))).toThrow('ENOSPC');
    const [pid] = readFileSync(pidFile, 'utf8').split('\n');
    expect(await site.failToUpgrade()).toMatch(/keeps running: cannot write the pid file .*: no space left/);
    expect(readFileSync(pidFile, 'utf8').split('\n')[0]).toBe(pid);
    expect(readdirSync(disk).sort()).toEqual(['full', 'x.pid']);
    expect((await fetch(site.url)).status).toBe(200);
  });
});
