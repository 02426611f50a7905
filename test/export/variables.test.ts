/** `paster export` of units, images and cluster objects: the environment variables that the INI file needs. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Deployment } from 'kubernetes-models/apps/v1';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { Program, paster, requireProgram } from '../helpers/programs/program.ts';
import { makeCertificate } from '../helpers/web-servers/certificate.ts';
import { ini, project } from './site.ts';

const SERVER = `use = npm:paster#http
port = 8085
keep_alive_timeout = %(ENV_KEEP)s
environment =
  OWN=1
  COPY=%(ENV_SECRET)s
env_file = %(here)s/../.env conf/app.env`;

const UNUSED = '[app:unused]\nuse = npm:paster#static\ndocument_root = %(ENV_UNUSED)s\n';

function withVariables(): string {
  const directory = project(
    SERVER,
    `${UNUSED}[DEFAULT]\nfirst = %(ENV_OWN)s %%(ENV_PERCENT)s %(ENV_INNER)s %(ENV_GIVEN)s\n`,
  );
  mkdirSync(join(directory, 'etc/conf'));
  writeFileSync(join(directory, '.env'), 'INNER=1\n');
  writeFileSync(join(directory, 'etc/conf/app.env'), '');
  writeFileSync(join(directory, 'given.env'), 'GIVEN=1\n');
  return directory;
}

async function run(target: string, directory: string, ...args: string[]) {
  const env = { KEEP: '5', SECRET: 'hunter22' };
  const all = ['export', target, ini(directory), '--dotenv', join(directory, 'given.env'), ...args];
  const finished = await paster(all, { env }).finished();
  expect(finished.status, finished.stderr).toBe(0);
  expect(finished.stdout + finished.stderr).not.toContain('hunter22');
  return finished;
}

/** Each warning is also a comment in the file. */
function expectNotes({ stdout, stderr }: { stdout: string; stderr: string }, notes: readonly string[]): void {
  expect(stderr.split('\n').filter((line) => line !== '')).toEqual(notes.map((note) => `paster: ${note}`));
  for (const note of notes) expect(stdout.split('\n')).toContain(`# ${note}`);
}

describe('the variables that an INI file refers to', () => {
  test('systemd: notes say where to define them', async () => {
    const directory = withVariables();
    const finished = await run('systemd', directory, '--user', 'daemon');
    expectNotes(finished, [
      'create /etc/shop.env (mode 600) with a line NAME=value for each of: KEEP, SECRET',
      `the user daemon must be able to read "${directory}/.env", "${directory}/etc/conf/app.env"`,
    ]);
    expect(finished.stdout.match(/^EnvironmentFile=.*$/gm)).toEqual([
      `EnvironmentFile=${directory}/given.env`,
      'EnvironmentFile=/etc/shop.env',
    ]);
  });

  test.skipIf(requireProgram('systemd-analyze') === undefined)('systemd accepts the unit', async () => {
    const directory = withVariables();
    const output = join(directory, 'shop.service');
    await run('systemd', directory, '--user', 'daemon', '-o', output);
    const verify = new Program('systemd-analyze', ['verify', '--man=no', output, join(directory, 'shop.socket')]);
    expect(await verify.finished()).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  test('docker: no file of variables gets into the image', async () => {
    const directory = withVariables();
    const finished = await run('docker', directory);
    expectNotes(finished, [
      'give "docker run" an --env-file or -e NAME=value for each of: GIVEN, KEEP, SECRET',
      'mount ".env" at "/app/.env": the image does not have it',
      'mount "etc/conf/app.env" at "/app/etc/conf/app.env": the image does not have it',
    ]);
    expect(finished.stdout).toContain('\nRUN ["rm","-f","--","given.env",".env","etc/conf/app.env"]\n');
    await run('docker', directory, '-o', directory);
    const ignored = readFileSync(join(directory, '.dockerignore'), 'utf8').split('\n');
    expect(ignored).toEqual(expect.arrayContaining(['/given.env', '/.env', '/etc/conf/app.env']));
  });

  test('docker and kubernetes: no private key gets into the image', async () => {
    const certificates = ['ssl_cert = ../cert.pem', '  ../copy.pem', 'ssl_key = ../key.pem', '  conf/copy.key'];
    const directory = project(['use = npm:paster#http', 'port = 8085', ...certificates].join('\n'));
    writeFileSync(join(directory, 'given.env'), '');
    mkdirSync(join(directory, 'etc/conf'));
    const { cert, key } = makeCertificate(directory);
    copyFileSync(cert, join(directory, 'copy.pem'));
    copyFileSync(key, join(directory, 'etc/conf/copy.key'));
    const finished = await run('docker', directory);
    expectNotes(finished, [
      'mount "key.pem" at "/app/key.pem": the image does not have it',
      'mount "etc/conf/copy.key" at "/app/etc/conf/copy.key": the image does not have it',
    ]);
    expect(finished.stdout).toContain('\nRUN ["rm","-f","--","given.env","key.pem","etc/conf/copy.key"]\n');
    expectNotes(await run('kubernetes', directory), [
      'create the Secret shop-env-files with the keys: key.pem from "key.pem", etc_conf_copy.key from "etc/conf/copy.key"',
    ]);
  });

  test('docker: --server-section lists only those of that server', async () => {
    const other = '[server:other]\nuse = npm:paster#http\nport = 8086\nenvironment = KEEP=%(ENV_SECRET)s\n';
    const directory = project(`${SERVER}\n`, `${other}[DEFAULT]\nfirst = %(ENV_KEEP)s\n`);
    writeFileSync(join(directory, 'given.env'), '');
    expectNotes(await run('docker', directory, '--server-section', 'other'), [
      'give "docker run" an --env-file or -e NAME=value for each of: SECRET',
    ]);
  });

  test('kubernetes: notes name the Secrets to create', async () => {
    const finished = await run('kubernetes', withVariables());
    expectNotes(finished, [
      'create the Secret shop-env with the keys: GIVEN, KEEP, SECRET',
      'create the Secret shop-env-files with the keys: .env from ".env", etc_conf_app.env from "etc/conf/app.env"',
    ]);
    const documents = parseAllDocuments(finished.stdout).map((each) => each.toJS());
    const deployment = documents.find(({ kind }) => kind === 'Deployment');
    new Deployment(deployment).validate();
    const { containers, volumes } = deployment.spec.template.spec;
    expect(containers[0].env).toEqual(
      ['GIVEN', 'KEEP', 'SECRET'].map((key) => ({
        name: key,
        valueFrom: { secretKeyRef: { name: 'shop-env', key } },
      })),
    );
    expect(containers[0].volumeMounts).toContainEqual({
      name: 'env-files',
      mountPath: '/app/etc/conf/app.env',
      subPath: 'etc_conf_app.env',
      readOnly: true,
    });
    expect(volumes).toContainEqual({ name: 'env-files', secret: { secretName: 'shop-env-files' } });
  });
});
