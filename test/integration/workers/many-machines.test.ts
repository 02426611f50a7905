/** nginx, configured by `export`, in front of three machines: they die, drain and go silent, and no GET fails. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import { echoingApp, Load } from '../../helpers/programs/load.ts';
import { type Machine, type MachineKind, machineKinds, makeMachines } from '../../helpers/programs/machines.ts';
import { eventually, freePort, type Program, paster, ROOT, requireProgram } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { untilAnswering } from '../../helpers/web-servers/web-server.ts';
import { begin, pairs, record, stream, TYPE } from '../../servers/fastcgi/client.ts';

const nginx = requireProgram('nginx');
const PASTER = join(ROOT, 'bin/paster.js');

/** The text of an application that echoes, except for `/hold`, to which it never responds. */
function holdingApp(journal: string): string {
  return `import { appendFileSync } from 'node:fs';
import echo from './echo.js';
export default (req, res) => {
  if (req.url !== '/hold') return echo(req, res);
  appendFileSync(${JSON.stringify(journal)}, process.pid + ' /hold\\n');
};
`;
}

/** A machine with a project, which may or may not be running. */
class Host {
  readonly machine: Machine;
  readonly directory: string;
  #program: Program | undefined;

  constructor(machine: Machine, name: string, web: Machine, port: number) {
    this.machine = machine;
    this.directory = temporaryDirectory({
      'package.json': '{ "name": "shop", "type": "module" }',
      journal: '',
      'x.ini': `[DEFAULT]\naddress = 127.0.0.1\n[app:main]\nuse = module:./app.js
[server:main]\nuse = npm:paster#fastcgi\nhost = %(address)s\nport = ${port}\nallow = ${web.address}\nworkers = 1\n`,
    });
    const journal = join(this.directory, 'journal');
    writeFiles(this.directory, { 'echo.js': echoingApp(name, journal), 'app.js': holdingApp(journal) });
  }

  /** The URLs of requests that its application has received, including repeated ones. */
  get taken(): string[] {
    const lines = readFileSync(join(this.directory, 'journal'), 'latin1').split('\n');
    return lines.map((line) => line.split(' ')[1] ?? '');
  }

  async start(): Promise<void> {
    const args = [PASTER, 'serve', join(this.directory, 'x.ini'), `address=${this.machine.address}`];
    this.#program = this.machine.run(process.execPath, args);
    await this.#program.says(/^serving on /m);
  }

  /** Lets it finish its requests. @returns Its exit status. */
  async drain(): Promise<number | null | undefined> {
    return (await this.#program?.kill('SIGTERM'))?.status;
  }

  /** Kills all of its processes at once. */
  async kill(): Promise<void> {
    this.#program?.signalGroup('SIGKILL');
    await this.#program?.finished();
  }
}

class Fleet {
  readonly url: string;
  readonly hosts: readonly Host[];
  readonly web: Machine;
  readonly stranger: Machine;
  readonly port: number;

  constructor(url: string, hosts: readonly Host[], machines: readonly Machine[], port: number) {
    this.url = url;
    this.hosts = hosts;
    [this.web, this.stranger] = machines as [Machine, Machine];
    this.port = port;
  }

  static async start(kind: MachineKind): Promise<Fleet> {
    const [web, stranger, ...others] = makeMachines(kind, 5) as [Machine, Machine, ...Machine[]];
    const [port, webPort] = [await freePort(), await freePort()];
    const directory = temporaryDirectory();
    const hosts = others.map((machine, index) => new Host(machine, `host${index}`, web, port));
    await Promise.all(hosts.map((host) => host.start()));
    const [first] = hosts;
    const addresses = hosts.flatMap((host) => ['--host', host.machine.address]);
    const whole = ['--standalone', '--listen', `${web.address}:${webPort}`, '--state-dir', join(directory, 'state')];
    const ini = join(first?.directory ?? '', 'x.ini');
    const { status, stdout } = await paster(['export', 'nginx', ini, ...addresses, ...whole]).finished();
    expect(status).toBe(0);
    // Otherwise a silent machine would take the test a minute.
    const text = stdout.replace('fastcgi_read_timeout 60s;', 'fastcgi_read_timeout 2s;');
    expect(text).not.toBe(stdout);
    writeFileSync(join(directory, 'nginx.conf'), text);
    const program = web.run(nginx ?? '', ['-c', join(directory, 'nginx.conf')]);
    await untilAnswering(webPort, program, web.address);
    return new Fleet(`http://${web.address}:${webPort}`, hosts, [web, stranger], port);
  }

  get taken(): string[] {
    return this.hosts.flatMap((host) => host.taken);
  }
}

const PAUSE_MS = 2;

/** Waits until each of these has responded from now on, which takes seconds if nginx avoids one of them. The load is reduced meanwhile. */
async function untilAnsweredBy(load: Load, names: readonly string[]): Promise<void> {
  load.versions.clear();
  load.pause = 50;
  await eventually(() => names.every((name) => load.versions.has(name)));
  load.pause = PAUSE_MS;
}

/** Waits for many more responses, which come from the other machines. */
async function meanwhile(load: Load, count = 200): Promise<void> {
  const before = load.answered;
  await eventually(() => load.answered > before + count);
}

const NAMES = ['host0', 'host1', 'host2'];

describe.skipIf(nginx === undefined).each(machineKinds())('on %s', (kind) => {
  test('no GET fails, and no POST is carried out twice', { timeout: 180_000 }, async () => {
    const fleet = await Fleet.start(kind);
    const [one, two, three] = fleet.hosts as [Host, Host, Host];
    const load = new Load(fleet.url, { clients: 6, pause: PAUSE_MS });
    const unharmed = (): void => expect(load.failures.filter(({ method }) => method === 'GET')).toEqual([]);
    await untilAnsweredBy(load, NAMES);

    await one.kill();
    await meanwhile(load);
    await one.start();
    await untilAnsweredBy(load, NAMES);
    unharmed();

    expect(await two.drain()).toBe(0);
    await meanwhile(load);
    await two.start();
    await untilAnsweredBy(load, NAMES);
    unharmed();

    // A new release is deployed everywhere, faster than nginx retries the machines that it has skipped.
    for (const host of fleet.hosts) {
      expect(await host.drain()).toBe(0);
      await host.start();
    }
    await untilAnsweredBy(load, NAMES);
    unharmed();

    three.machine.disconnect();
    await meanwhile(load);
    three.machine.reconnect();
    await untilAnsweredBy(load, NAMES);

    await load.stop();
    unharmed();
    const { taken } = fleet;
    const posted = taken.filter((path) => Number(path.split('/')[2]) % 3 === 0);
    expect(posted.length).toBeGreaterThan(100);
    expect(posted.filter((path, index) => posted.indexOf(path) !== index)).toEqual([]);
  });

  test('a request that may have been processed is repeated if it is a GET, and never if it is a POST', async () => {
    const fleet = await Fleet.start(kind);
    const holding = (): Host[] => fleet.hosts.filter((host) => host.taken.includes('/hold'));
    const killHolding = async (count: number): Promise<void> => {
      const found = await eventually(() => holding().length === count && holding());
      for (const host of found) await host.kill();
    };
    const posted = ask(fleet.url, '/hold', { method: 'POST', body: 'once' });
    await killHolding(1);
    expect((await posted).status).toBe(502);
    expect(holding()).toHaveLength(1);

    const got = ask(fleet.url, '/hold');
    await killHolding(2);
    await killHolding(3);
    expect((await got).status).toBe(502);
  });

  test('no peer but nginx gets a response', async () => {
    const fleet = await Fleet.start(kind);
    const variables = {
      REQUEST_METHOD: 'GET',
      REQUEST_URI: '/from-elsewhere',
      SCRIPT_NAME: '',
      PATH_INFO: '/from-elsewhere',
    };
    const bytes = Buffer.concat([
      begin(1, { keep: false }),
      stream(TYPE.params, 1, pairs(variables)),
      record(TYPE.params, 1),
      record(TYPE.stdin, 1),
    ]);
    const asked = async (from: Machine, host: Host): Promise<string> => {
      const args = ['-e', ASK, from.address, host.machine.address, String(fleet.port), bytes.toString('hex')];
      return (await from.run(process.execPath, args).finished()).stdout;
    };
    for (const host of fleet.hosts) {
      expect(await asked(fleet.stranger, host)).toBe('0 bytes');
      expect(await asked(host.machine, host)).toBe('0 bytes');
    }
    expect(fleet.taken).not.toContain('/from-elsewhere');
    const [host] = fleet.hosts as [Host];
    expect(await asked(fleet.web, host)).toMatch(/^[1-9]\d+ bytes$/);
    expect(fleet.taken).toContain('/from-elsewhere');
  });
});

/** Connects from one address to another, sends bytes, and returns the number of bytes that come back. */
const ASK = `
const [localAddress, host, port, hex] = process.argv.slice(1);
let length = 0;
const socket = require('node:net').connect({ localAddress, host, port }, () => socket.write(Buffer.from(hex, 'hex')));
socket.on('data', (data) => { length += data.length; }).on('error', () => {});
socket.on('close', () => process.stdout.write(length + ' bytes'));
`;
