/** The packed package on every supported Node: the oldest release of 20, and 22, 24 and 26. */
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { NODES } from '../../../scripts/test-tools/tools.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { pack, project, run } from '../../helpers/programs/installed.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { eventually, freePort, Program, ROOT, requireTool } from '../../helpers/programs/program.ts';
import { FastcgiClient } from '../../servers/fastcgi/client.ts';

const VERSION = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;

/** The dependencies of an application of `create`. */
const OF_APPLICATIONS = ['express'];

/** Variables of the test runner that a process on another Node must not inherit. */
const CLEAN = { CI: '', NODE_ENV: '', TEST: '', VITEST: '', VITEST_MODE: '', VITEST_POOL_ID: '', VITEST_WORKER_ID: '' };

let home: string;
beforeSuite(async () => {
  home = (await project(await pack(temporaryDirectory()), {}, OF_APPLICATIONS)).directory;
});

describe.each(NODES)('Node %s', (version) => {
  const node = requireTool(`node ${version}`);
  const onNode = test.skipIf(node === undefined);
  /** The directory above all projects of this Node, in which each finds paster. */
  const directory = (name = ''): string => join(home, version, name);
  const paster = (args: readonly string[], cwd: string): Program =>
    new Program(node ?? '', [join(home, 'node_modules/paster/bin/paster.js'), ...args], { cwd });

  /** Runs `create` for a project with its own name. */
  async function create(name: string, ...args: readonly string[]): Promise<string> {
    mkdirSync(directory(), { recursive: true });
    expect(await paster(['create', name, ...args], directory()).finished()).toMatchObject({ status: 0, stderr: '' });
    return directory(name);
  }

  /** One project for the tests of `check`, `serve` and, as the last, `--reload`, which edits it. */
  let plain: Promise<string> | undefined;
  const createPlain = (): Promise<string> => {
    plain ??= create('plain');
    return plain;
  };

  onNode('prints its version', async () => {
    const said = await new Program(node ?? '', ['--version']).finished();
    expect(said.stdout.startsWith(`v${version}`)).toBe(true);
    const { stdout, stderr, status } = await paster(['--version'], home).finished();
    expect({ stdout, stderr, status }).toEqual({ stdout: `${VERSION}\n`, stderr: '', status: 0 });
  });

  onNode('can be imported and required', async () => {
    for (const [type, load] of [
      ['module', `import { asInt } from 'paster'`],
      ['commonjs', `const { asInt } = require('paster')`],
    ] as const) {
      const args = ['--no-warnings', `--input-type=${type}`, '-e', `${load}; console.log(asInt('7'))`];
      expect(await new Program(node ?? '', args, { cwd: home }).finished()).toMatchObject({
        stdout: '7\n',
        stderr: '',
      });
    }
  });

  onNode('creates a project that passes check and its own tests', async () => {
    const made = await createPlain();
    // The files differ in their servers, whatever the version is.
    for (const file of ['etc/develop.ini', ...(version === NODES[0] ? ['etc/config.ini'] : [])]) {
      expect(await paster(['check', file], made).finished()).toMatchObject({ status: 0, stdout: `${file}: ok\n` });
    }
    await run(node ?? '', ['--test'], { cwd: made, env: CLEAN });
  });

  onNode('serves etc/develop.ini', async () => {
    const port = await freePort();
    const program = paster(['serve', 'etc/develop.ini', `http_port=${port}`], await createPlain());
    await program.says(/^serving on /m);
    expect(await (await fetch(`http://127.0.0.1:${port}/hello/Ada`)).json()).toEqual({ message: 'Hello, Ada' });
    expect((await program.kill('SIGTERM')).status).toBe(0);
    expect(program.stderr).not.toMatch(/warning|deprecated/i);
  });

  onNode('reloads when a file is edited', async () => {
    const made = await createPlain();
    const port = await freePort();
    const program = paster(['serve', 'etc/develop.ini', '--reload', `http_port=${port}`], made);
    await program.says(/^serving on /m);
    const hello = async () => (await fetch(`http://127.0.0.1:${port}/hello/Ada`)).text();
    expect(await hello()).toContain('Hello, Ada');
    const app = join(made, 'app.js');
    writeFileSync(app, readFileSync(app, 'utf8').replaceAll('`Hello, ', '`Good morning, '));
    await eventually(async () => (await hello()).includes('Good morning, Ada'));
    await program.kill('SIGTERM');
  });

  onNode('serves an Express application over FastCGI, with a POST and a response larger than any buffer', async () => {
    const made = await create('shop', '-t', 'express');
    const app = join(made, 'app.js');
    const route = "app.post('/raw', express.raw({ limit: '9mb' }), (req, res) => res.type('bin').send(req.body));";
    writeFileSync(
      app,
      readFileSync(app, 'utf8').replace('const app = express();', (text) => `${text}\n  ${route}`),
    );
    const program = paster(['serve', 'etc/config.ini', '--workers', '1'], made);
    await program.says(/^serving on fastcgi/m);
    const client = await FastcgiClient.connect(join(made, 'var/fcgi-socket'));
    const post = (id: number, path: string, type: string, body: Buffer | string) =>
      client.ask(id, { REQUEST_METHOD: 'POST', REQUEST_URI: path, CONTENT_TYPE: type }, { body });
    const hello = await post(1, '/hello', 'application/json', '{"name": "Ada"}');
    expect([hello.status, hello.body.toString()]).toEqual([200, '{"message":"Hello, Ada"}']);
    const large = Buffer.alloc(5_000_000, 'abc');
    expect((await post(2, '/raw', 'application/octet-stream', large)).body.equals(large)).toBe(true);
    // The connection is kept open.
    expect((await post(3, '/hello', 'application/json', '{}')).status).toBe(400);
    client.close();
    await once(client.socket, 'close');
    await program.kill('SIGTERM');
  });

  /** Runs paster's own test files on this Node. @returns for each, the number of passed tests and the names of those that failed. */
  async function runTests(
    files: readonly string[],
    name: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Results[]> {
    const report = join(temporaryDirectory(), 'report.json');
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    // Every run transforms the same modules, so the first one keeps them for the others.
    const transformed = [
      '--experimental.fsModuleCache',
      `--experimental.fsModuleCachePath=${join(home, 'transformed')}`,
    ];
    const args = ['run', ...files, '-t', name, '--reporter=json', `--outputFile=${report}`, ...transformed];
    await new Program(node ?? '', [vitest, ...args], { cwd: ROOT, env: { ...CLEAN, ...env } }).finished();
    const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report;
    return files.map((file) => {
      const { message = `${file} did not run`, assertionResults = [] } =
        testResults.find((result) => result.name.endsWith(file)) ?? {};
      const withStatus = (wanted: string) => assertionResults.filter(({ status }) => status === wanted);
      const failed = [...(message ? [message] : []), ...withStatus('failed').map(({ fullName }) => fullName)];
      return { passed: withStatus('passed').length, failed };
    });
  }

  /** One run for the cases below, with the internals that paster finds. The first Node runs the contract anyway. */
  let running: Promise<Results[]> | undefined;
  const withInternals = (): Promise<Results[]> => {
    const contract = version === NODES[0] ? [] : ['test/contract/like-node.test.ts', 'test/net/connection.test.ts'];
    const files = ['test/net/node-internals.test.ts', ...contract];
    running ??= runTests(files, 'internals of Node|FastCGI|accepting|reading|writing|this Node');
    return running;
  };

  onNode('behaves like its own node:http behind FastCGI with public interfaces only', async () => {
    const env = { PASTER_WITHOUT_INTERNALS: 'all' };
    const [contract] = await runTests(['test/contract/like-node.test.ts'], 'FastCGI', env);
    expect(contract?.failed).toEqual([]);
    expect(contract?.passed).toBeGreaterThan(200);
  });

  onNode('has the internals that paster knows', async () => {
    const [internals] = await withInternals();
    expect(internals?.failed).toEqual([]);
    expect(internals?.passed).toBeGreaterThan(5);
  });

  // Node 20 loads no TypeScript by itself, and the contract runs on it anyway; on the others the gateway finds other
  // internals of Node.
  if (version === NODES[0]) return;

  onNode('runs TypeScript without a build', async () => {
    await run(node ?? '', ['--test', 'test/app.test.ts'], { cwd: await create('typed', 'language=ts'), env: CLEAN });
  });

  onNode('behaves like its own node:http behind FastCGI with private interfaces', async () => {
    const [, contract, connections] = await withInternals();
    expect([contract?.failed, connections?.failed]).toEqual([[], []]);
    expect(contract?.passed).toBeGreaterThan(200);
    expect(connections?.passed).toBeGreaterThan(3);
  });
});

interface Results {
  readonly passed: number;
  readonly failed: readonly string[];
}

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}
