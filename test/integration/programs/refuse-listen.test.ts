/** Applications that call listen() themselves although the INI file does not serve them by `listen:`. */
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { paster, serve } from '../../helpers/programs/program.ts';

const PORT = '[server:main]\nuse = npm:paster#http\nport = 0\n';

describe('an application that calls listen() by itself', () => {
  const APP = `const app = (req, res) => res.end('app');\nmodule.exports = app;\n\nrequire('node:http').createServer(app).listen(18431);\n`;

  test('is refused even if its server gets its handler later', async () => {
    const source = APP.replace('createServer(app).listen(18431)', 'createServer().listen(18431).on("request", app)');
    const directory = temporaryDirectory({ 'app.js': source, 'x.ini': `[app:main]\nuse = module:./app.js\n${PORT}` });
    const { status, stdout } = await paster(['check', 'x.ini'], { cwd: directory }).finished();
    expect([status, stdout]).toEqual([2, expect.stringContaining('calls listen() on port 18431 by itself')]);
  });

  /** An application whose framework calls listen() of a server that it creates, like Nest and LoopBack. */
  const FRAMEWORK = `const { createServer } = require('node:http');
exports.start = async (app) => {
  await null;
  await new Promise((resolve) => createServer(app).listen(18431, resolve));
};
exports.wait = require('node:timers/promises').setTimeout;
`;

  test.each([
    ['awaited', 'await start(app);', /^paster: app\.js:4:\d+: /],
    ['not awaited', '(async () => { await start(app); })();\n  await wait(50);', /^paster: app\.js:4:\d+: /],
    ['in code without a file', 'start(app).catch(() => {});\n  await wait(50);', /^paster: x\.ini:1:1: /],
  ])('is refused if its framework listens, %s', async (_how, starting, place) => {
    const source = `const { start, wait } = require('framework');
const app = (req, res) => res.end('app');
module.exports = (async () => {
  ${starting}
  return app;
})();
`;
    const directory = temporaryDirectory({
      'app.js': source,
      'node_modules/framework/index.js': FRAMEWORK,
      'x.ini': `[app:main]\nuse = module:./app.js\n${PORT}`,
    });
    const { status, stderr } = await paster(['serve', 'x.ini'], { cwd: directory }).finished();
    expect([status, stderr.split('\n').length]).toEqual([2, 2]);
    expect(stderr).toMatch(place);
    expect(stderr).toContain('[app:main] calls listen() on port 18431 by itself (write use = listen:');
  });

  test.each(['', 'workers = 1\n'])('opens no port if it calls listen() later, and is reported: %j', async (workers) => {
    const source = `const app = (req, res) => res.end('app');
module.exports = app;
setTimeout(() => require('node:http').createServer(app).listen(18432, () => console.log('it listens')), 10);
`;
    const ini = `[app:main]\nuse = module:./app.js\n${PORT}${workers}`;
    const program = await serve(['x.ini'], { cwd: temporaryDirectory({ 'app.js': source, 'x.ini': ini }) });
    await program.says(/app\.js:3:\d+: calls listen\(\) on port 18432 by itself \(write use = listen:\.\/app\.js,/);
    expect(await (await fetch(program.url)).text()).toBe('app');
    await expect(fetch('http://127.0.0.1:18432')).rejects.toThrow();
    expect(program.output).not.toContain('it listens');
  });

  test.each(['module:./app.js', 'call:./app.js:default'])('is refused by serve and check: %s', async (use) => {
    const ini = `[app:main]\nuse = ${use.replace('./', '../')}\n${PORT}`;
    const directory = temporaryDirectory({ 'app.js': APP, 'etc/x.ini': ini });
    for (const command of ['serve', 'check']) {
      const { status, stdout, stderr } = await paster([command, 'etc/x.ini'], { cwd: directory }).finished();
      expect(status, command).not.toBe(0);
      expect(stdout + stderr).toMatch(
        /app\.js:4:\d+: .*calls listen\(\) on port 18431 by itself \(write use = listen:\.\.\/app\.js,/,
      );
    }
  });
});
