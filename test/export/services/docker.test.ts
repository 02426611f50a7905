/** `paster export docker`, parsed by a parser of Dockerfiles. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { validate } from 'dockerfile-utils';
import { describe, expect, test } from 'vitest';
import { writeFiles } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { freePort, Program, paster, serve } from '../../helpers/programs/program.ts';
import { exported, FASTCGI, HTTP, ini, project, refused } from '../site.ts';

describe('docker', () => {
  test.each([
    ['FastCGI', FASTCGI, ['"-s","http","--workers","2","--graceful-timeout","20"', 'EXPOSE 8080']],
    ['a range', FASTCGI.replace('workers = 2', 'workers = 1-8\nmaxChildren = 4'), ['"-s","http","--workers","1-4"']],
    ['HTTP', HTTP, ['"--port","8085","etc/config.ini"]', 'EXPOSE 8085']],
  ])('the Dockerfile has stages, a user other than root and a health check: %s', async (_what, server, parts) => {
    const text = await exported('docker', ini(project(server)));
    expect(validate(text, {})).toEqual([]);
    expect(text.match(/^FROM /gm)).toHaveLength(3);
    expect(text).toMatch(/^FROM node:24-slim$/m);
    expect(text).toMatch(/^USER node$/m);
    expect(text).toMatch(/^ENTRYPOINT \["tini","--"\]$/m);
    expect(text).toMatch(/^HEALTHCHECK .*CMD \["node"/m);
    for (const part of parts) expect(text).toContain(part);
  });

  test.each([
    ['a path that exists', ['--health', '/query'], 0],
    ['a path that does not exist', ['--health', '/missing'], 1],
    ['without a path, whether the port is open', [], 0],
  ])('the health check works: %s', async (_what, options, status) => {
    const directory = project(`use = npm:paster#http\nport = ${await freePort()}`);
    const text = await exported('docker', ini(directory), ...options);
    const [, words = ''] = /^HEALTHCHECK .* CMD (.*)$/m.exec(text) ?? [];
    const [, ...args]: string[] = JSON.parse(words);
    expect(await new Program(process.execPath, args).finished()).toMatchObject({ status: 1 });
    await serve([ini(directory)]);
    expect(await new Program(process.execPath, args).finished()).toMatchObject({ status, stderr: '' });
  });

  test.each([
    ['npm', { 'package-lock.json': '{}' }, 'package.json package-lock.json', 'npm ci --omit=dev'],
    [
      'npm, published',
      { 'npm-shrinkwrap.json': '{}', 'package-lock.json': '{}' },
      'package.json npm-shrinkwrap.json',
      'npm ci --omit=dev',
    ],
    [
      'npm, from a private registry',
      { 'package-lock.json': '{}', '.npmrc': '' },
      'package.json package-lock.json .npmrc',
      'npm ci --omit=dev',
    ],
    [
      'pnpm',
      { 'pnpm-lock.yaml': '', 'pnpm-workspace.yaml': '' },
      'package.json pnpm-lock.yaml pnpm-workspace.yaml',
      'corepack enable && pnpm install --frozen-lockfile --prod',
    ],
    [
      'Yarn 1',
      { 'yarn.lock': '# yarn lockfile v1\n' },
      'package.json yarn.lock',
      'yarn install --frozen-lockfile --production',
    ],
    [
      'Yarn 4',
      { 'yarn.lock': '__metadata:\n  version: 8\n', '.yarnrc.yml': '', '.yarn/releases/yarn.cjs': '' },
      'package.json yarn.lock .yarnrc.yml',
      'corepack enable && yarn workspaces focus --all --production',
    ],
    ['none', {}, 'package.json', 'npm install --omit=dev'],
  ])('the lock file decides how packages are installed: %s', async (_what, files, copied, command) => {
    const directory = project(HTTP);
    writeFiles(directory, files);
    const text = await exported('docker', ini(directory));
    expect(validate(text, {})).toEqual([]);
    const [dependencies = '', , image = ''] = text.split(/^FROM /m).slice(1);
    expect(dependencies).toContain(`\nCOPY ${copied} ./\n`);
    expect(dependencies).toContain(`\nRUN ${command}\n`);
    expect(dependencies.includes('COPY .yarn/releases ./.yarn/releases\n')).toBe('.yarnrc.yml' in files);
    expect(dependencies.includes('# There is no lock file')).toBe(Object.keys(files).length === 0);
    expect(image).not.toContain('.npmrc');
  });

  test('the image has the packages of workspaces', async () => {
    const directory = project(HTTP);
    const manifest = '{ "dependencies": { "paster": "1" }, "workspaces": { "packages": ["packages/*"] } }';
    writeFiles(directory, { 'package.json': manifest, 'packages/api/package.json': '{}', 'packages/notes.txt': '' });
    const text = await exported('docker', ini(directory));
    expect(validate(text, {})).toEqual([]);
    expect(text).toMatch(
      /\nCOPY packages\/api\/package.json .\/packages\/api\/\n[\s\S]*\nRUN npm .*\nRUN mkdir -p packages\/api\/node_modules\n/,
    );
    expect(text).toContain('\nCOPY --from=dependencies /app/packages/api/node_modules ./packages/api/node_modules\n');
  });

  test.each([
    [{ dependencies: { paster: '^1' } }, '', undefined],
    [{ name: 'paster' }, '', undefined],
    [
      {},
      ':1:1: paster is not among the dependencies, so the image does not have it: add it to "dependencies"',
      undefined,
    ],
    [
      { devDependencies: { paster: '^1' } },
      ':3:5: paster is in devDependencies, which the image does not install: move it to "dependencies"',
      undefined,
    ],
    [
      { dependencies: { paster: 'file:../paster.tgz' } },
      ':3:5: "paster": "file:../paster.tgz" is outside the project, from which the image is built: copy it into the project, and install it from there',
      undefined,
    ],
    [{ dependencies: { paster: 'file:vendor/paster.tgz' } }, '', 'COPY vendor/paster.tgz ./vendor/paster.tgz'],
  ])('the image needs paster, and packages inside the project: %j', async (manifest, warning, copied) => {
    const directory = project(HTTP);
    writeFiles(directory, { 'package.json': JSON.stringify(manifest, null, 2) });
    const { status, stdout, stderr } = await runHere(['export', 'docker', ini(directory)]);
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: warning === '' ? '' : `paster: ${directory}/package.json${warning}\n`,
    });
    expect(/^COPY vendor.*$/m.exec(stdout)?.[0]).toBe(copied);
  });

  test('no secrets get into the image: a .dockerignore is written, and an existing one is kept', async () => {
    const directory = project(HTTP);
    const text = await exported('docker', ini(directory));
    const [, remove = ''] = /^RUN (rm -rf .*)$/m.exec(text) ?? [];
    writeFiles(directory, {
      '.npmrc': 'a=secret\n',
      'etc/.env': 'a=secret\n',
      '.env.local': 'a=secret\n',
      'etc/x.env.js': '',
    });
    expect(await exported('docker', ini(directory), '-o', join(directory, 'Dockerfile'))).toBe('');
    const ignore = readFileSync(join(directory, '.dockerignore'), 'utf8');
    expect(ignore.split('\n')).toContain('**/.env*');
    execFileSync('sh', ['-c', remove], { cwd: directory });
    expect(
      ['.npmrc', 'etc/.env', '.env.local', 'etc/x.env.js'].map((name) => existsSync(join(directory, name))),
    ).toEqual([false, false, false, true]);
    writeFiles(directory, { '.dockerignore': 'mine\n' });
    const again = await runHere(['export', 'docker', ini(directory), '-o', directory]);
    expect(again).toMatchObject({ status: 0, stdout: '' });
    expect(again.stderr).toContain('.dockerignore exists already');
    expect(readFileSync(join(directory, '.dockerignore'), 'utf8')).toBe('mine\n');
  });

  test('the container drains for as long as the INI file says, whatever protocol its server speaks', async () => {
    const directory = project(FASTCGI.replace('graceful_timeout = 20', 'graceful_timeout = 0.1'));
    const [, words = ''] = /^CMD (.*)$/m.exec(await exported('docker', ini(directory))) ?? [];
    const [, , ...args]: string[] = JSON.parse(words);
    const port = await freePort();
    const program = paster(
      args.map((arg) => (arg === '8080' ? String(port) : arg)),
      { cwd: directory },
    );
    await program.says(/^serving on /m);
    const slow = await fetch(`http://127.0.0.1:${port}/slow?ms=600000`);
    const cut = expect(slow.text()).rejects.toThrow();
    // Without the limit this would take ten minutes.
    await program.kill('SIGTERM');
    await cut;
  });

  test('--health sets the path of the health check', async () => {
    expect(await exported('docker', ini(project(HTTP)), '--health', '/up')).toContain('http://127.0.0.1:8085/up');
    expect(await refused('docker', ini(project(HTTP)), '--health', '/up"')).toContain('--health');
    expect(await refused('docker', ini(project(HTTP)), '--standalone')).toContain('does not apply to docker');
  });
});
