/** Settings that `paster check` examines beyond their types: those of servers, and names of files and functions. */
import { describe, expect, test } from 'vitest';
import { lines, SERVER } from './findings.ts';

describe('servers', () => {
  test.each([
    ['ssl_cert = gone.pem', 'ssl_cert alone is not enough'],
    ['ssl_cert = a\n  b\nssl_key = a', 'ssl_cert has 2 lines and ssl_key has 1 line'],
    ['ssl_client_ca = ca.pem', 'ssl_client_ca needs ssl_pem, or ssl_cert and ssl_key'],
    ['ssl_client_verify = required', 'ssl_client_verify needs ssl_client_ca'],
    ['listen = nowhere', 'listen: "nowhere" is not an address'],
    ['workers = 0', 'workers: 0 is out of range'],
    ['graceful_timeout = 3000000', 'graceful_timeout: 3000000 is out of range'],
    ['request_timeout = 30\nheaders_timeout = 31', 'headers_timeout: 31 is more than request_timeout (30)'],
  ])('%s is an error', async (setting, expected) => {
    expect(await lines(`[app:main]\nuse = module:./app.mjs\n${SERVER}${setting}\n`)).toEqual([
      expect.stringContaining(expected),
    ]);
  });

  test('the address of an imported server is checked too', async () => {
    const server = '[server:main]\nuse = module:./server.mjs\nport = 1\nsocket = x\n';
    const others = { 'server.mjs': 'export default { scheme: "x", serve() {} };\n' };
    expect(await lines(`[app:main]\nuse = module:./app.mjs\n${server}`, others)).toEqual([
      '5:1: [server:main] socket and port are mutually exclusive (keep one of them)',
    ]);
  });

  test.each(['paste.server_factory = ./gone.mjs:make', 'use = npm:paster#htp'])(
    'the address of a server that cannot be imported is checked too (%s)',
    async (use) => {
      const found = await lines(`[app:main]\nuse = module:./app.mjs\n[server:main]\n${use}\nport = 99999\n`);
      expect(found).toEqual([
        expect.stringMatching(
          /^4:\d+: \[server:main\] there is no module|^4:7: \[server:main\] the package "paster" has no server "htp"/,
        ),
        expect.stringMatching(/^5:1: \[server:main\] port: 99999 is out of range/),
      ]);
    },
  );
});

describe('conditions that a part has beyond types', () => {
  test('a transparent proxy without allowed hosts is an error', async () => {
    const ini = (more: string) => `[app:main]\nuse = npm:paster#transparent_proxy\n${more}${SERVER}`;
    for (const more of ['', 'allowed_hosts =\n']) {
      expect(await lines(ini(more))).toEqual([
        expect.stringMatching(/^1:1: \[app:main\] a transparent proxy would connect to .* \(.*"force_host".*\)$/),
      ]);
    }
    for (const more of ['force_host = 127.0.0.1:1\n', 'allowed_hosts = a.example\n']) {
      expect(await lines(ini(more))).toEqual([]);
    }
  });

  test.each([
    ['app', 'redirect', 'to = //evil.example', /^3:1: .*"\/\/evil\.example" is not a URL to redirect to/],
    ['app', 'cgi', 'script = nosuch.cgi', /^3:1: .*there is no script nosuch\.cgi/],
    ['app', 'transparent_proxy', 'force_host = a@b', /^3:1: .*force_host: "a@b" is not of the form host or host:port/],
    [
      'app',
      'transparent_proxy',
      'allowed_hosts = *',
      /^3:1: .*\* would let any client reach what this machine reaches/,
    ],
    ['composite', 'urlmap', '/a = config:y.ini\n/a/ = config:y.ini', /^4:1: .*"\/a\/": this prefix is mapped already/],
    ['composite', 'cascade', 'catch = 404', /^1:1: .*the cascade names no application/],
  ])('[%s:main] use = npm:paster#%s, %s', async (kind, part, settings, message) => {
    const others = { 'y.ini': '[app:main]\nuse = npm:paster#test\n' };
    const ini = `[${kind}:main]\nuse = npm:paster#${part}\n${settings}\n${SERVER}`;
    expect(await lines(ini, others)).toEqual([expect.stringMatching(message)]);
  });

  test.each([
    ['static', 'document_root ='],
    ['cgi', 'script ='],
    ['cgi_bin', 'directory ='],
  ])('an empty path for %s is an error, because it would mean the directory of the INI file', async (part, setting) => {
    expect(await lines(`[app:main]\nuse = npm:paster#${part}\n${setting}\n${SERVER}`)).toEqual([
      expect.stringMatching(/^3:1: \[app:main\] \w+: it is empty \(allowed: the path of a [^)]+\)$/),
    ]);
  });

  test.each([
    [
      'app',
      'static',
      'document_root = no',
      'document_root: there is no directory $DIR/no (create it (mkdir -p $DIR/no)',
    ],
    ['app', 'static', 'document_root = app.mjs', 'document_root: $DIR/app.mjs is not a directory'],
    ['app', 'static', 'document_root = app.mjs/no', 'document_root: ENOTDIR'],
    ['app', 'static', 'robots = no\ndocument_root = .', 'robots: there is no file $DIR/no'],
    ['app', 'static', 'favicon = .\ndocument_root = .', 'favicon: $DIR is a directory'],
    ['filter', 'static', 'document_root = no', 'document_root: there is no directory $DIR/no'],
    ['app', 'cgi_bin', 'directory = no', 'directory: there is no directory $DIR/no'],
    ['app', 'cgi_bin', 'document_root = no\ndirectory = .', 'document_root: there is no directory $DIR/no'],
    ['filter', 'error_page', 'error_log = no/e.log', 'error_log: there is no directory $DIR/no'],
    ['filter', 'profile', 'log_filename = no/p\ndebug = true', 'log_filename: there is no directory $DIR/no'],
    ['filter', 'auth_basic', 'users_file = no', 'users_file: there is no file $DIR/no'],
    ['filter', 'auth_digest', 'users_file = no\nrealm = r', 'users_file: there is no file $DIR/no'],
  ])(
    '[%s:main] use = npm:paster#%s, %s: a path that does not exist is reported',
    async (kind, part, settings, message) => {
      const section = `[${kind}:main]\nuse = npm:paster#${part}\n${settings}\n`;
      const ini = kind === 'app' ? section + SERVER : `${section}[app:main]\nuse = module:./app.mjs\n${SERVER}`;
      const found = await lines(ini);
      expect(found.filter((line) => !line.includes('is not used'))).toEqual([
        expect.stringContaining(`3:1: [${kind}:main] ${message}`),
      ]);
    },
  );

  test('the functions of a health check must exist', async () => {
    const ini = (check: string) => `[app:main]\nuse = npm:paster#health\ncheck = ${check}\n${SERVER}`;
    for (const [names, message] of [
      ['./app.mjs:make', /^3:1: \[app:main\] check: "\.\/app\.mjs:make" is not of the form call:module:name/],
      ['call:./app.mjs:make call:./no.mjs:x', /^3:9: \[app:main\] there is no module \$DIR\/no\.mjs/],
      ['call:./app.mjs:mak', /^3:9: \[app:main\] \$DIR\/app\.mjs exports no "mak" \(did you mean "make"\?\)/],
      ['call:./app.mjs:value', /^3:9: \[app:main\] check: call:\.\/app\.mjs:value is not a function but 42/],
    ] as const) {
      expect(await lines(ini(names))).toEqual([expect.stringMatching(message)]);
    }
    expect(await lines(ini('call:./no.mjs:x call:./app.mjs:make call:./app.mjs:value'))).toHaveLength(2);
    expect(await lines(ini('call:./app.mjs:make'))).toEqual([]);
  });
});
