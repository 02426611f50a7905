/** `paster make-config` and `paster setup-app`, like those of PasteScript. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';
import { type Finished, paster, ROOT } from '../helpers/programs/program.ts';

const WIKI = {
  'package.json': JSON.stringify({
    name: 'my-wiki',
    type: 'module',
    paster: {
      'paste.app_factory': { main: './wiki.js:make', plain: './plain.js:make' },
      'paste.app_install': { main: './install.js:install' },
    },
  }),
  'wiki.js': 'export const make = () => () => {};\n',
  'plain.js':
    'export const make = () => () => {};\nexport const setupApp = async (command, conf) => command.say("plain " + conf.localConf.x);\n',
  'install.js': `export const install = {
  name: 'installer',
  setup_app(command, conf, vars) {
    command.say(this.name + ' ' + command.name + ' ' + conf.localConf.home + ' ' + conf.globalConf.debug + ' ' + (vars.admin ?? '-'));
    if (vars.admin === 'nobody') throw new Error('no such admin');
  },
};
`,
  'paste_deploy_config.ini_tmpl': `[DEFAULT]
debug = false
[app:main]
use = npm:\${package}#\${name}
home = %(here)s
secret = \${app_instance_secret}
id = {{ app_instance_uuid }}
title = \${title}
`,
};

function wiki(extra: Readonly<Record<string, string>> = {}): string {
  const files = Object.entries(WIKI).map(([name, text]) => [`node_modules/my-wiki/${name}`, text]);
  return temporaryDirectory({ ...Object.fromEntries(files), ...extra });
}

const run = (cwd: string, ...args: string[]): Promise<Finished> => runHere(args, { cwd });

/** Runs the command in its own process, as users do. */
const runProcess = (cwd: string, ...args: string[]): Promise<Finished> => paster(args, { cwd }).finished();

describe('make-config', () => {
  test('fills in the package’s own template, and makes the file readable by its group at most', async () => {
    const directory = wiki();
    const { stdout, status } = await runProcess(directory, 'make-config', 'My_Wiki', 'etc/wiki.ini', 'title=A wiki');
    expect(stdout).toContain('created: etc/wiki.ini');
    expect(status).toBe(0);
    const text = readFileSync(join(directory, 'etc/wiki.ini'), 'utf8');
    expect(text).toMatch(
      /use = npm:my-wiki#main\nhome = %\(here\)s\nsecret = [\w-]{32}\nid = [0-9a-f-]{36}\ntitle = A wiki/,
    );
    expect(statSync(join(directory, 'etc/wiki.ini')).mode & 0o777).toBe(0o640);
  });

  test('keeps a file that differs', async () => {
    const directory = wiki({ 'wiki.ini': 'mine' });
    const { stdout, stderr, status } = await run(directory, 'make-config', 'my-wiki', 'wiki.ini', 'title=x');
    expect(stdout + stderr).toContain('wiki.ini differs and was kept (--overwrite replaces)');
    expect(status).toBe(1);
    expect(readFileSync(join(directory, 'wiki.ini'), 'utf8')).toBe('mine');
    expect((await run(directory, 'make-config', 'my-wiki', 'wiki.ini', 'title=x', '-f')).status).toBe(0);
    expect(readFileSync(join(directory, 'wiki.ini'), 'utf8')).toContain('\ntitle = x\n');
  });

  test('writes the settings that the factory declares if the package has no template', async () => {
    const directory = temporaryDirectory();
    expect((await run(directory, 'make-config', 'paster#test', 'x.ini')).status).toBe(0);
    expect(readFileSync(join(directory, 'x.ini'), 'utf8')).toContain('# format = auto\n');
    const { stdout } = await run(directory, 'check', 'x.ini');
    expect(stdout).toBe('x.ini: ok\n');
  });

  test('runs the hook with --setup, and writes nothing with --simulate', async () => {
    const directory = wiki();
    const shown = await run(directory, 'make-config', 'my-wiki', 'a.ini', 'title=x', '-n');
    expect(shown.stdout).toContain('title = x');
    const { stdout } = await run(directory, 'make-config', 'my-wiki', 'b.ini', 'title=x', '--setup');
    expect(stdout).toContain('created: b.ini\ninstaller setup-app');
    expect(existsSync(join(directory, 'a.ini'))).toBe(false);
  });

  test.each([
    [['make-config', 'my-wiki', 'x.ini'], /ini_tmpl:8:9: the template needs a variable "title" \(give title=VALUE/],
    [['make-config', 'my-wkii', 'x.ini'], /the package "my-wkii" is not installed .*did you mean "my-wiki"/],
    [['make-config', 'my-wiki#man', 'x.ini'], /has no app "man" \(did you mean "main"\?\)/],
    [['make-config', 'my-wiki#main', 'x.ini', '--name', 'plain'], /are mutually exclusive/],
  ])('%j is refused', async (args, message) => {
    const { stderr, status } = await run(wiki(), ...args);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });
});

describe('setup-app', () => {
  const INI = `[DEFAULT]
debug = true
[composite:main]
use = egg:Paste#urlmap
/ = wiki
/plain = plain
/none = none
[app:wiki]
use = npm:my-wiki
home = %(here)s
filter-with = log
[app:plain]
use = npm:my-wiki#plain
x = 1
[app:none]
use = npm:paster#test
[filter:log]
use = egg:Paste#translogger
`;

  const LOGGING = `[loggers]
keys = root
[handlers]
keys = file
[formatters]
keys = name
[logger_root]
level = INFO
handlers = file
[handler_file]
class = FileHandler
formatter = name
args = (r"%(here)s/x.log", "%(mode)s")
[formatter_name]
format = %(name)s %(message)s
`;

  test('calls the hook of each application, with its configuration and the variables of the command line', async () => {
    const directory = wiki({ 'etc/x.ini': INI });
    const { stdout, stderr, status } = await runProcess(directory, 'setup-app', 'etc/x.ini', 'admin=me');
    expect(stderr).toBe('');
    expect(stdout.replaceAll(directory, '$DIR')).toBe(
      `installer setup-app $DIR/etc true me
[app:wiki]: set up
plain 1
[app:plain]: set up
[app:none]: nothing to set up
`,
    );
    expect(status).toBe(0);
  });

  test('appends what a hook logs to the file that the configuration names', async () => {
    const hook = `import { getLogger } from '${ROOT}/dist/index.js';
export const make = () => () => {};
export const setup_app = () => getLogger('plain').info('tables made');
`;
    const directory = wiki({
      'x y.ini': `[app:main]\nuse = call:./app.js:make\n${LOGGING}`,
      'app.js': hook,
      'package.json': '{"type": "module"}',
      'x.log': 'before\n',
    });
    expect(await runProcess(directory, 'setup-app', 'x y.ini', 'mode=w')).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(directory, 'x.log'), 'utf8')).toBe('before\nplain tables made\n');
  });

  test('may set up one section of the file', async () => {
    const { stdout } = await run(wiki({ 'x.ini': INI }), 'setup-app', 'x.ini#plain');
    expect(stdout).toBe('plain 1\n[app:plain]: set up\n');
  });

  test('reports a hook that throws with its section and its own line, and status 1', async () => {
    const { stderr, status } = await run(wiki({ 'x.ini': INI }), 'setup-app', 'x.ini#wiki', 'admin=nobody');
    expect(stderr).toMatch(/install\.js:5:\d+: \[app:wiki\].*no such admin/);
    expect(status).toBe(1);
  });

  test('refuses a declared hook that is not one', async () => {
    const directory = wiki({ 'node_modules/my-wiki/install.js': 'export const install = 1;\n', 'x.ini': INI });
    const { stderr, status } = await run(directory, 'setup-app', 'x.ini#wiki');
    expect(stderr).toContain('my-wiki: paste.app_install "main" (./install.js:install) is not a setup hook');
    expect(status).toBe(2);
  });
});
