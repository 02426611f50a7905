/** Two servers with one set of processes: `[server:web]` serves pages by FastCGI, and `[server:live]` serves everything by HTTP. */
import { once } from 'node:events';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { echoingApp } from '../../helpers/programs/load.ts';
import { eventually, freePort, type Program, paster, ROOT } from '../../helpers/programs/program.ts';
import { saveByRename } from '../../process/program.ts';
import { FastcgiClient } from '../../servers/fastcgi/client.ts';

/** The application of `echoingApp`, which also echoes on WebSockets, after its version and PID. */
export function chattyApp(version: string): string {
  return `import { WebSocketServer } from '${join(ROOT, 'node_modules/ws/wrapper.mjs')}';
${echoingApp(version).replace('export default', 'const page =')}
const sockets = new WebSocketServer({ noServer: true });
export default Object.assign(page, {
  upgrade(req, socket, head) {
    sockets.handleUpgrade(req, socket, head, (client) => {
      client.on('message', (text) => client.send('${version} ' + process.pid + ' ' + text));
    });
  },
});
`;
}

/** Sends a text over a WebSocket. @returns the response. */
export async function chat(url: string, text: string): Promise<string> {
  const socket = new WebSocket(url.replace('http', 'ws'));
  await once(socket, 'open');
  socket.send(text);
  const [answer] = await once(socket, 'message');
  socket.close();
  await once(socket, 'close');
  return String(answer);
}

interface ProjectOptions {
  readonly workers?: string;
  /** Text appended to the INI file. */
  readonly more?: string;
  readonly app?: string;
}

/** The files of the two servers. */
export class Project {
  readonly directory: string;
  readonly port: number;

  protected constructor(directory: string, port: number) {
    this.directory = directory;
    this.port = port;
  }

  static async create({
    workers = 'workers = 2',
    more = '',
    app = chattyApp('v0'),
  }: ProjectOptions = {}): Promise<Project> {
    const port = await freePort();
    const directory = temporaryDirectory({
      'package.json': '{"type": "module", "name": "shop"}',
      'app.js': app,
      'x.ini': ini({ port, workers, more }),
    });
    return new Project(directory, port);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get socket(): string {
    return join(this.directory, 'web.sock');
  }

  save(name: string, text: string): void {
    saveByRename(join(this.directory, name), text);
  }
}

export class TwoServers extends Project {
  readonly program: Program;

  private constructor({ directory, port }: Project, program: Program) {
    super(directory, port);
    this.program = program;
  }

  static async start({
    args = [],
    ...options
  }: ProjectOptions & { readonly args?: readonly string[] } = {}): Promise<TwoServers> {
    const project = await Project.create(options);
    const program = paster(['serve', 'x.ini', '-v', ...args], { cwd: project.directory });
    await program.says(/^serving on http:.*\n/m);
    return new TwoServers(project, program);
  }

  count(pattern: RegExp): number {
    return this.program.output.match(pattern)?.length ?? 0;
  }

  /** @param outcome what the log says at the end */
  async hup(outcome: RegExp = /^reloaded$/gm): Promise<void> {
    const before = this.count(outcome);
    this.program.child.kill('SIGHUP');
    await eventually(() => this.count(outcome) > before);
  }
}

export const WEB = '[server:web]\nuse = npm:paster#fastcgi\nsocket = web.sock\n';
export const live = (port: number) => `[server:live]\nuse = npm:paster#http\nport = ${port}\n`;

export function ini({ port, workers = 'workers = 2', more = '', names = 'web, live' }: IniOptions): string {
  return `[paster]\nserve = ${names}\n[app:main]\nuse = module:./app.js\n${WEB}${workers}\n${live(port)}${more}`;
}

interface IniOptions {
  readonly port: number;
  readonly workers?: string;
  readonly more?: string;
  readonly names?: string;
}

/** The body of a response over FastCGI. */
export async function getByFastcgi(socket: string): Promise<string> {
  const client = await FastcgiClient.connect(socket);
  try {
    const { body } = await client.ask(1, { REQUEST_METHOD: 'GET', REQUEST_URI: '/' });
    return body.toString();
  } finally {
    client.close();
  }
}

/** The body of a response over HTTP. */
export const get = async (url: string) => (await fetch(url, { headers: { connection: 'close' } })).text();
