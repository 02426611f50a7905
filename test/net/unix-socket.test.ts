import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConfigError, RunError } from '../../src/errors.ts';
import { holdSocket } from '../../src/net/held-socket.ts';
import { type BindOptions, openListener } from '../../src/net/listener.ts';
import { bindUnderTemporaryName } from '../../src/net/unix-socket.ts';
import { requireRoot } from '../helpers/programs/program.ts';

let directory = '';
let path = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'paster-unix-'));
  path = join(directory, 'app.sock');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Leaves a stale socket behind, as a killed process does. */
function leaveStale(): void {
  const code = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  expect(spawnSync(process.execPath, ['--eval', code]).signal).toBe('SIGKILL');
  expect(lstatSync(path).isSocket()).toBe(true);
}

function connects(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

describe.each([
  ['openListener', (options?: BindOptions) => openListener({ kind: 'unix', path }, options)],
  ['holdSocket', (options?: BindOptions) => holdSocket({ kind: 'unix', path }, options)],
] as const)('%s', (_name, open) => {
  test('creates one file of mode 660 and removes it', async () => {
    const socket = await open();
    expect(readdirSync(directory)).toEqual(['app.sock']);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    expect(await connects()).toBe(true);
    await socket.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  test.each([
    [{ mode: 0o600 }, 0o600],
    [{ umask: 0o111 }, 0o666],
    [{ umask: 0o007 }, 0o770],
  ])('has the mode of %o', async (options, mode) => {
    const socket = await open(options);
    expect(statSync(path).mode & 0o777).toBe(mode);
    await socket.close();
  });

  test("leaves this process's umask unchanged", async () => {
    const before = process.umask();
    await (await open()).close();
    expect(process.umask()).toBe(before);
  });

  test.runIf(requireRoot())('sets an owner and a group', async () => {
    const socket = await open({ owner: 'nobody', group: 1 });
    expect(statSync(path)).toMatchObject({ uid: Number(execFileSync('id', ['-u', 'nobody'])), gid: 1 });
    await socket.close();
  });

  test('replaces a stale socket', async () => {
    leaveStale();
    const socket = await open();
    expect(await connects()).toBe(true);
    await socket.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  test('never replaces a live socket', async () => {
    const first = await open();
    const error = await open().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RunError);
    expect(error).toMatchObject({ message: `the socket ${path} is in use by another program` });
    expect(await connects()).toBe(true);
    await first.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  test('never replaces a live socket of another program', async () => {
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    await expect(open()).rejects.toThrow('is in use by another program');
    expect(await connects()).toBe(true);
    server.close();
  });

  test.each([
    ['a file', () => writeFileSync(path, 'precious'), () => expect(readFileSync(path, 'utf8')).toBe('precious')],
    ['a directory', () => mkdirSync(path), () => expect(statSync(path).isDirectory()).toBe(true)],
    ['a symbolic link', () => symlinkSync('/nowhere', path), () => expect(lstatSync(path).isSymbolicLink()).toBe(true)],
  ])('refuses to replace %s', async (kind, make, check) => {
    make();
    await expect(open()).rejects.toThrow(`${path} is ${kind}, not a socket: it is left alone`);
    check();
    expect(readdirSync(directory)).toEqual(['app.sock']);
  });

  test('does not remove a file that has replaced its own', async () => {
    const first = await open();
    unlinkSync(path);
    const second = await open();
    await first.close();
    expect(await connects()).toBe(true);
    await second.close();
    expect(existsSync(path)).toBe(false);
  });

  test('reports a missing directory', async () => {
    path = join(directory, 'var', 'app.sock');
    const error = await open().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RunError);
    expect(error).toMatchObject({
      message: `directory ${join(directory, 'var')} does not exist`,
      hint: `create it: mkdir -p ${join(directory, 'var')}`,
    });
  });

  test('accepts a path of the maximum length, and refuses one byte more', async () => {
    const longest = platform() === 'darwin' ? 103 : 107;
    path = join(directory, 's'.repeat(longest - directory.length - 1));
    const socket = await open();
    expect(await connects()).toBe(true);
    await socket.close();
    path += 's';
    const error = await open().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toContain(`is too long: ${longest + 1} bytes, ${longest} are possible`);
  });

  test('of several servers that start at once over a stale socket, only one gets it', async () => {
    leaveStale();
    const started = await Promise.allSettled(Array.from({ length: 8 }, () => open()));
    const winners = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    expect(winners.length).toBe(1);
    expect(await connects()).toBe(true);
    expect(readdirSync(directory)).toEqual(['app.sock']);
    await winners[0]?.close();
    expect(readdirSync(directory)).toEqual([]);
  });
});

test('closing the returned server removes the file, like a server of Node', async () => {
  const listener = await openListener({ kind: 'unix', path });
  expect(listener.server.address()).toBe(path);
  listener.server.close();
  expect(existsSync(path)).toBe(false);
});

test('a name of one letter never equals its own temporary name', async () => {
  // By chance it would, once in 36 times.
  for (let time = 0; time < 200; time++) {
    const { file } = await bindUnderTemporaryName(join(directory, 's'), (name) => name);
    expect(file).not.toBe(join(directory, 's'));
  }
});
