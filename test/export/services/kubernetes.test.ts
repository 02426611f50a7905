/** `paster export` of units, images and cluster objects, read by those who define what is right. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { validate } from 'dockerfile-utils';
import { Deployment } from 'kubernetes-models/apps/v1';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { ConfigMap, Service } from 'kubernetes-models/v1';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { writeFiles } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';
import { freePort, Program, paster, requireProgram, serve } from '../helpers/programs/program.ts';
import { exported, ini, project, refused } from './site.ts';

const FASTCGI = 'use = npm:paster#fastcgi\nsocket = %(here)s/../var/app.sock\nworkers = 2\ngraceful_timeout = 20';
const HTTP = 'use = npm:paster#http\nport = 8085\ngraceful_timeout = 20';

describe('systemd', () => {
  const missing = requireProgram('systemd-analyze') === undefined;

  test.skipIf(missing).each([
    ['a Unix socket', FASTCGI],
    ['TCP', HTTP],
  ])('both units are right in the eyes of systemd: %s', async (_what, server) => {
    const directory = project(server);
    const output = join(directory, 'shop.service');
    expect(await exported('systemd', ini(directory), '--user', 'daemon', '-o', output)).toBe('');
    const socket = output.replace('.service', '.socket');
    const verify = new Program('systemd-analyze', ['verify', '--man=no', output, socket]);
    expect(await verify.finished()).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  test('limits and permissions are those of the INI file', async () => {
    const directory = project(`${FASTCGI}\nmode = 600\nsocket_owner = www-data`);
    const text = await exported('systemd', ini(directory), 'level=info');
    expect(text).toContain(`ListenStream=${join(directory, 'var/app.sock')}\n`);
    for (const line of ['SocketMode=0600', 'SocketUser=www-data', 'TimeoutStopSec=30', 'Type=notify']) {
      expect(text.split('\n')).toContain(line);
    }
    expect(text).toMatch(new RegExp(`^ExecStart=.* "serve" "${ini(directory)}" "level=info"$`, 'm'));
    expect(text).toMatch(/^ExecReload=\/bin\/kill -HUP \$MAINPID$/m);
  });

  test.each([
    ['252 (252.39-1~deb12u2)', undefined],
    ['257 (257.8-1~deb13u2)', 'OpenFile=/run/systemd/notify:paster-notify:graceful'],
  ])('it opens its socket for paster if it can: systemd %s', async (version, line) => {
    const directory = project(FASTCGI);
    writeFiles(directory, { 'bin/systemctl': `#!/bin/sh\necho "systemd ${version}"\n` });
    chmodSync(join(directory, 'bin/systemctl'), 0o755);
    const PATH = `${join(directory, 'bin')}:${process.env['PATH']}`;
    const { stdout } = await runHere(['export', 'systemd', ini(directory)], { env: { PATH } });
    expect(/^OpenFile=.*$/m.exec(stdout)?.[0]).toBe(line);
  });

  test.each([
    ['the service’s user owns the socket', '', ['SocketUser=shop']],
    ['with another group', 'socket_group = www-data', ['SocketUser=shop', 'SocketGroup=www-data']],
    ['unless the INI file names an owner', 'socket_owner = root', ['SocketUser=root']],
  ])('%s', async (_what, setting, expected) => {
    const text = await exported('systemd', ini(project(`${FASTCGI}\n${setting}`)), '--user', 'shop');
    expect(text.match(/^Socket(User|Group)=.*$/gm)).toEqual(expected);
  });

  test('an address by TCP is nobody’s', async () => {
    expect(await exported('systemd', ini(project(HTTP)), '--user', 'shop')).not.toMatch(/^Socket/m);
  });

  test('a value is a word, whatever is in it', async () => {
    const directory = project(FASTCGI);
    const text = await exported('systemd', ini(directory), 'a=%n "$HOME\\');
    expect(text).toContain('"a=%%n \\"$$HOME\\\\"\n');
    expect(await refused('systemd', ini(directory), 'a=1\nExecStartPre=/bin/false')).toContain('cannot be written');
    expect(await refused('systemd', ini(directory), '--user', 'a\nb')).toContain('--user');
  });
});

describe('docker', () => {
  test.each([
    ['FastCGI', FASTCGI, ['"-s","http","--workers","2","--graceful-timeout","20"', 'EXPOSE 8080']],
    ['a range', FASTCGI.replace('workers = 2', 'workers = 1-8\nmaxChildren = 4'), ['"-s","http","--workers","1-4"']],
    ['HTTP', HTTP, ['"--port","8085","etc/config.ini"]', 'EXPOSE 8085']],
  ])('the Dockerfile has stages, no root and a health check: %s', async (_what, server, parts) => {
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
    ['a path that is there', ['--health', '/query'], 0],
    ['a path that is not', ['--health', '/missing'], 1],
    ['that somebody listens', [], 0],
  ])('the health check is one: %s', async (_what, options, status) => {
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
      'npm, from a registry of its own',
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
  ])('the image needs paster, and packages that are in the project: %j', async (manifest, warning, copied) => {
    const directory = project(HTTP);
    writeFiles(directory, { 'package.json': JSON.stringify(manifest, null, 2) });
    const { status, stdout, stderr } = await runHere(['export', 'docker', ini(directory)]);
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: warning === '' ? '' : `paster: ${directory}/package.json${warning}\n`,
    });
    expect(/^COPY vendor.*$/m.exec(stdout)?.[0]).toBe(copied);
  });

  test('no secrets get into the image: .dockerignore is written too, and one that is there is kept', async () => {
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

  test('the container drains for as long as the INI file says, whatever its server speaks', async () => {
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
    // Without the limit it would take ten minutes.
    await program.kill('SIGTERM');
    await cut;
  });

  test('the health check asks for what it is told', async () => {
    expect(await exported('docker', ini(project(HTTP)), '--health', '/up')).toContain('http://127.0.0.1:8085/up');
    expect(await refused('docker', ini(project(HTTP)), '--health', '/up"')).toContain('--health');
    expect(await refused('docker', ini(project(HTTP)), '--standalone')).toContain('means nothing for docker');
  });
});

const MODELS = { ConfigMap, Deployment, Service, Ingress, HorizontalPodAutoscaler, PodDisruptionBudget };

describe('kubernetes', () => {
  test.each([
    ['FastCGI', FASTCGI],
    ['HTTP', HTTP],
  ])('every object holds against the published schemas: %s', async (_what, server) => {
    const directory = project(server);
    const text = await exported('kubernetes', ini(directory), '--server-name', 'shop.example.org', '--health', '/up');
    const objects = parseAllDocuments(text).map((document) => {
      expect(document.errors).toEqual([]);
      return document.toJS();
    });
    expect(objects.map(({ kind }) => kind).sort()).toEqual(Object.keys(MODELS).sort());
    for (const object of objects) {
      const Model = Object.entries(MODELS).find(([kind]) => kind === object.kind)?.[1];
      expect(() => Model && new Model(object).validate()).not.toThrow();
    }
    const [config] = objects;
    expect(config.data['config.ini']).toBe(readFileSync(ini(directory), 'utf8'));
    const pod = objects.find(({ kind }) => kind === 'Deployment').spec.template.spec;
    // preStop, graceful_timeout and a margin.
    expect(pod.terminationGracePeriodSeconds).toBe(5 + 20 + 5);
    expect(pod.containers[0].readinessProbe.httpGet).toMatchObject({ path: '/up', port: 'http' });
    expect(pod.containers[0].volumeMounts[0].mountPath).toBe('/app/etc/config.ini');
  });

  /** The resources of the pod, and the warnings about them. */
  const resourcesOf = async (server: string, ...options: string[]) => {
    const directory = project(`use = npm:paster#http\nport = 8085\n${server}`);
    const { stdout, stderr } = await runHere(['export', 'kubernetes', ini(directory), ...options]);
    const [, deployment] = parseAllDocuments(stdout);
    return { ...deployment?.toJS().spec.template.spec.containers[0].resources, stderr };
  };

  test.each([
    ['one process', '', [], ['1', '512Mi'], ['250m', '256Mi']],
    ['four workers', 'workers = 4', [], ['4', '1280Mi'], ['1', '640Mi']],
    ['a range', 'workers = 1-8\nmaxChildren = 4', [], ['4', '1280Mi'], ['1', '640Mi']],
    ['max_memory', 'workers = 2\nmax_memory = 300', [], ['2', '1024Mi'], ['500m', '512Mi']],
    ['auto', 'workers = auto', [], ['1', '512Mi'], ['250m', '256Mi']],
    ['auto, as many as the limit says', 'workers = auto', ['--cpu', '1500m'], ['1500m', '768Mi'], ['375m', '384Mi']],
    ['what is given', 'workers = auto', ['--cpu', '4', '--memory', '2Gi'], ['4', '2048Mi'], ['1', '1024Mi']],
  ])('workers, requests and limits follow from one another: %s', async (_what, server, options, limits, requests) => {
    expect(await resourcesOf(server, ...options)).toEqual({
      limits: { cpu: limits[0], memory: limits[1] },
      requests: { cpu: requests[0], memory: requests[1] },
      stderr: '',
    });
  });

  test.each([
    ['workers = 4', ['--cpu', '1.5'], /^paster: 4 workers share 1\.5 CPUs: write workers = auto .* or --cpu 4$/m],
    ['workers = 2', ['--cpu', '4'], /^paster: 2 workers use 2 of 4 CPUs: write workers = auto/m],
    ['', ['--cpu', '2'], /^paster: a server without workers uses 1 of 2 CPUs: write workers = auto/m],
    [
      'workers = 2\nmax_memory = 400',
      ['--memory', '1Gi'],
      /^paster: max_memory = 400 .* exceeds 1024 MiB: .* --memory 1280Mi$/m,
    ],
    [
      'workers = auto',
      ['--cpu', '8', '--memory', '512Mi'],
      /^paster: 512 MiB are little for 8 workers: write --memory 2304Mi$/m,
    ],
  ])('warns where they disagree: %s', async (server, options, warning) => {
    expect((await resourcesOf(server, ...options)).stderr).toMatch(warning);
  });

  test('limits that are none', async () => {
    expect(await refused('kubernetes', ini(project(HTTP)), '--cpu', 'two')).toContain('allowed: 1.5, 500m');
    expect(await refused('kubernetes', ini(project(HTTP)), '--memory', '512')).toContain('allowed: 512Mi, 1.5Gi');
    expect(await refused('docker', ini(project(HTTP)), '--cpu', '1')).toContain('means nothing for docker');
  });

  test.each([
    ['below a prefix', '[composite:checked]\nuse = egg:Paste#urlmap\n/ops/health = health\n/ = main\n'],
    [
      'by its own paths',
      '[composite:checked]\nuse = npm:paster#urlmap\n/healthz = health\n/readyz = health\n/ = main\n',
    ],
    ['and nothing else', '[app:checked]\nuse = npm:paster#health\n'],
  ])('probes ask the health application of the URL map whether it is ready: %s', async (_what, sections) => {
    const directory = project(HTTP, `${sections}\n[app:health]\nuse = npm:paster#health\n`);
    const [, deployment] = parseAllDocuments(await exported('kubernetes', ini(directory), '-n', 'checked'));
    const [container] = deployment?.toJS().spec.template.spec.containers ?? [];
    const { path } = container.readinessProbe.httpGet;
    expect(path).toMatch(/\/readyz$/);
    expect(container.command).toContain('checked');
    expect(await exported('docker', ini(directory), '-n', 'checked')).toContain(path);
    const asked = await paster(['request', '-n', 'checked', ini(directory), path]).finished();
    expect(asked).toMatchObject({ stdout: expect.stringContaining('"ok"') });
  });

  test.skipIf(requireProgram('kubectl') === undefined)('kubectl reads them, without a cluster', async () => {
    const directory = project(HTTP);
    const text = await exported('kubernetes', ini(directory), '--server-name', 'shop.example.org');
    const workload = text.split(/^---$/m).find((object) => /^kind: Deployment$/m.test(object)) ?? '';
    writeFiles(directory, {
      'all.yaml': text,
      'workload.yaml': workload,
      'broken.yaml': workload.replace(/containerPort: \d+/, 'containerPort: http'),
    });
    const kubectl = async (...args: string[]): Promise<{ status: number | null; stdout: string }> => {
      const env = { KUBECONFIG: '/dev/null', HOME: directory };
      return new Program('kubectl', [...args, '--local', '-o', 'name'], { cwd: directory, env }).finished();
    };
    const names = (await kubectl('label', '-f', 'all.yaml', 'a=b')).stdout.trim().split('\n');
    expect(names).toHaveLength(Object.keys(MODELS).length);
    const setImage = (file: string) => kubectl('set', 'image', '-f', file, '*=registry.example.org/shop:2');
    expect(await setImage('workload.yaml')).toMatchObject({ status: 0, stdout: 'deployment.apps/shop\n' });
    expect(await setImage('broken.yaml')).toMatchObject({ status: 1 });
  });

  test('the schemas refuse what they should', () => {
    expect(() => new Service({ spec: { ports: [{ port: 'http' as unknown as number }] } }).validate()).toThrow();
  });

  test('an INI file that would be something else in YAML stays what it is', async () => {
    const odd = '# --- \n[x]\n  a: b\n\tc = "\n\n[y]\nk = ü %%(z)s ☃\n- item: &a *b !!c\n';
    const directory = project(HTTP, odd.replace('%%(z)s', ''));
    const [config] = parseAllDocuments(await exported('kubernetes', ini(directory)));
    expect(config?.toJS().data['config.ini']).toBe(readFileSync(ini(directory), 'utf8'));
  });
});

describe('several servers', () => {
  test('a container leaves out further ones for HTTP, and keeps the one with the settings of the processes', async () => {
    const directory = project(HTTP);
    const [first, live] = [
      'use = npm:paster#fastcgi\nsocket = ../var/a.sock\nworkers = 2',
      'use = npm:paster#http\nport = 8085',
    ];
    const servers = `[server:main]\n${first}\n[server:live]\n${live}\n[server:other]\n${live.replace('8085', '8086')}\n`;
    const app = '[app:main]\nuse = npm:paster#test\n';
    writeFiles(directory, { 'etc/config.ini': `[paster]\nserve = main live other\n${app}${servers}` });
    const { stdout, stderr } = await runHere(['export', 'docker', ini(directory)]);
    const [, words = ''] = /^CMD (.*)$/m.exec(stdout) ?? [];
    const address = ['--host', '0.0.0.0', '--port', '8085'];
    const options = ['--server-name', 'main', '--server-name', 'live', ...address];
    expect(JSON.parse(words).slice(2)).toEqual(['serve', ...options, 'etc/config.ini']);
    expect(stderr).toContain('[server:live] is the only server for HTTP: [server:other] is left out');
  });

  const FIRST = '[server:main]\nuse = npm:paster#fastcgi\n';
  const LIVE = '[server:live]\nuse = npm:paster#http\nport = 8085\n';

  test.each([
    ['is reached', `${FIRST}host = 0.0.0.0\nport = 5050\nallow = 10.0.0.0/8\n${LIVE}`, [8085, 5050], ''],
    [
      'listens on the loopback',
      `${FIRST}host = 127.0.0.1\nport = 5050\n${LIVE}`,
      [8085],
      '[server:main] listens on 127.0.0.1:5050 in the container, where only its own processes reach it: write host = 0.0.0.0, and allow',
    ],
    [
      'has a Unix socket',
      `${FIRST}socket = /run/a.sock\n${LIVE}`,
      [8085],
      '[server:main] cannot listen on unix:/run/a.sock in the container, which can write only to var/ and /tmp: write socket = %(here)s/../var/a.sock, or',
    ],
    [
      'has a Unix socket in the project',
      `${FIRST}socket = %(here)s/../a.sock\n${LIVE}`,
      [8085],
      '[server:main] cannot listen on unix:',
    ],
    [
      'has a Unix socket in var/',
      `${FIRST}socket = %(here)s/../var/a.sock\n${LIVE}`,
      [8085],
      '[server:main] listens on unix:',
    ],
    [
      'speaks HTTP too',
      `${LIVE.replace('live', 'main').replace('8085', '8086')}${LIVE}`,
      [8086],
      'in a container [server:main] is the only server for HTTP: [server:live] is left out',
    ],
  ])('of a container, if another one %s', async (_what, servers, ports, note) => {
    const directory = project(HTTP);
    const app = '[app:main]\nuse = npm:paster#test\n';
    writeFiles(directory, { 'etc/config.ini': `[paster]\nserve = main, live\n${app}${servers}` });
    const docker = await runHere(['export', 'docker', ini(directory)]);
    const cluster = await runHere(['export', 'kubernetes', ini(directory)]);
    for (const { stdout, stderr } of [docker, cluster]) {
      expect(stderr.includes('[server:')).toBe(note !== '');
      expect(stderr).toContain(note);
      expect(stdout).toContain(note && `# ${note}`);
    }
    expect(docker.stdout).toContain(`\nEXPOSE ${ports.join(' ')}\n`);
    const objects = parseAllDocuments(cluster.stdout).map((document) => document.toJS());
    const spec = (kind: string) => objects.find((each) => each.kind === kind).spec;
    const inPod: { name: string; containerPort: number }[] = spec('Deployment').template.spec.containers[0].ports;
    const inService: { targetPort: string }[] = spec('Service').ports;
    expect(inPod.map(({ containerPort }) => containerPort)).toEqual(ports);
    expect(inService.map(({ targetPort }) => targetPort)).toEqual(inPod.map(({ name }) => name));
    expect(() => new Service(objects.find(({ kind }) => kind === 'Service')).validate()).not.toThrow();
  });
});
