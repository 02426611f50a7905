/** What `paster config` hides in each of its forms: secrets, found by their names or by a part's declaration. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { paster } from '../../helpers/programs/program.ts';

const SECRETS = `[DEFAULT]
db_password = hunter22hunter
short_token = abc
plain = hunter22

[app:main]
use = npm:paster#test
url = postgres://me:%(db_password)s@db/x
query = /x?password=%(db_password)s&page=2
joined = a %(db_password)s b
same = hunter22hunter
dsn = https://key@sentry.example/1
options = {"apiKey": "sesame", "size": 3}
max_tokens = 4096
token_header = X-Token
ssl_key = /etc/ssl/key.pem
cookie_name = sid
smtp_password =
credentials = true
from_environment = %(ENV_SOME_SECRET)s!
filter-with = auth

[filter:auth]
use = npm:paster#auth_basic
realm = here
users = me:$2b$05$hash
`;

describe('a secret', () => {
  const env = { SOME_SECRET: 'from the environment' };

  async function shown(args: readonly string[]): Promise<string> {
    const directory = temporaryDirectory({ 'x.ini': SECRETS });
    const { stdout, stderr, status } = await runHere(['config', 'x.ini', ...args], { cwd: directory, env });
    expect([status, stderr]).toEqual([0, '']);
    return stdout;
  }

  test('--json replaces it by a fixed text, and leaves everything else unchanged', async () => {
    const { sections } = JSON.parse(await shown(['--json']));
    expect(sections['app:main']).toMatchObject({
      use: 'npm:paster#test',
      url: 'postgres://me:********@db/x',
      query: '/x?password=********&page=2',
      joined: 'a ******** b',
      // Nothing marks this value as a secret.
      same: 'hunter22hunter',
      dsn: '********',
      options: '{"apiKey": "********", "size": 3}',
      max_tokens: '4096',
      token_header: 'X-Token',
      ssl_key: '/etc/ssl/key.pem',
      cookie_name: 'sid',
      smtp_password: '',
      credentials: 'true',
      from_environment: '********!',
      db_password: '********',
      short_token: '********',
      plain: 'hunter22',
    });
    // The declaration of the part makes this one a secret, not its name.
    expect(sections['filter:auth']).toMatchObject({ realm: 'here', users: '********' });
  });

  test.each([[[]], [['--raw']], [['-v']], [['--tree', '-v']], [['--html']], [['--section', 'app:main']]])(
    '%j hides it, and shows it with --show-secrets',
    async (args) => {
      const isRaw = args.includes('--raw');
      const hidden = await shown(args);
      expect(hidden).toContain('********');
      for (const secret of ['sesame', 'sentry', 'from the env', 'me:$2b']) expect(hidden).not.toContain(secret);
      expect(hidden).not.toContain('me:hunter22');
      const open = await shown([...args, '--show-secrets']);
      expect(open).not.toContain('********');
      expect(open).toContain(isRaw ? 'me:%(db_password)s@db' : 'me:hunter22hunter@db');
    },
  );

  test('in the environment is hidden, but not the shell’s own variables, nor the path of an existing file', async () => {
    const directory = temporaryDirectory({
      'x.ini': `[app:main]\nuse = npm:paster#test\nsocket = %(here)s/../var/app.sock\nkeys = %(ENV_CLOUD_CREDENTIALS)s\nother = %(ENV_DB_PASSWORD)s\n`,
      'keys.json': '{}',
    });
    const env = {
      PWD: directory,
      OLDPWD: directory,
      CLOUD_CREDENTIALS: join(directory, 'keys.json'),
      DB_PASSWORD: '/not/a/file',
    };
    const { stdout } = await paster(['config', 'x.ini', '--section', 'app:main'], { cwd: directory, env }).finished();
    expect(stdout).toContain(`socket = ${directory}/../var/app.sock\n`);
    expect(stdout).toContain(`keys = ${directory}/keys.json\n`);
    expect(stdout).toContain('other = ********\n');
    // Even if the directory has been removed since.
    const gone = { PWD: join(directory, 'gone') };
    const { stdout: later } = await paster(['config', 'y.ini'], {
      cwd: temporaryDirectory({ 'y.ini': `[app:main]\nuse = npm:paster#test\nat = %(ENV_PWD)s/x\n` }),
      env: gone,
    }).finished();
    expect(later).toContain(`at = ${gone.PWD}/x\n`);
  });

  test('on the command line is hidden too', async () => {
    const text = await shown(['db_password=other%secret', '--section', 'app:main']);
    expect(text).toContain('url = postgres://me:********@db/x');
    expect(text).toContain('joined = a ******** b');
    expect(text).not.toContain('other%secret');
  });
});
