/** A script that mod_rewrite puts in front of every path, as on shared hosting: the client does not see its path. */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory, writeScripts } from '../helpers/directory.ts';
import { ROOT, requireProgram } from '../helpers/programs/program.ts';
import { runApache } from '../helpers/web-servers/apache.ts';

const apache = requireProgram('apache2');

const APP = `export default (req, res) => res.end(JSON.stringify([req.url, req.baseUrl ?? '', req.originalUrl ?? '']));\n`;

test.skipIf(apache === undefined).each([
  ['fcgid', 'fcgid-script', 'use = npm:paster#fastcgi'],
  ['cgid', 'cgi-script', 'use = npm:paster#cgi'],
])('mod_%s: the application gets every path as the client spelled it', async (module, handler, server) => {
  const directory = temporaryDirectory({
    'app.js': APP,
    'app.ini': `[app:main]\nuse = module:./app.js\n[server:main]\n${server}\n`,
  });
  mkdirSync(join(directory, 'www'));
  writeScripts(join(directory, 'www'), {
    index: `#!/bin/sh\nexec ${process.execPath} ${ROOT}/bin/paster.js serve ${directory}/app.ini\n`,
  });
  chmodSync(directory, 0o755);
  const { url } = await runApache(
    apache ?? '',
    `DocumentRoot "${directory}/www"
AllowEncodedSlashes On
<Directory "${directory}/www">
  Require all granted
  Options +ExecCGI
  <Files "index">
    SetHandler ${handler}
  </Files>
  RewriteEngine On
  RewriteRule ^index(/|$) - [L]
  RewriteRule ^(.*)$ index/$1 [L]
</Directory>`,
    [module, 'rewrite'],
  );
  const ask = async (path: string): Promise<unknown> => (await fetch(url + path)).json();
  expect(await ask('/foo%20x/b%2Fc?q=1')).toEqual(['/foo%20x/b%2Fc?q=1', '', '']);
  expect(await ask('/')).toEqual(['/', '', '']);
  expect(await ask('/index/a%2Fb')).toEqual(['/a%2Fb', '/index', '/index/a%2Fb']);
});
