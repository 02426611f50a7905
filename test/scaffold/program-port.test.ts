/** The port that `create .` finds in a program, in its environment, and in the command that starts it. */
import { describe, expect, test } from 'vitest';
import { findProgram } from '../../src/deploy/programs/find-program.ts';
import { portOf } from '../../src/scaffold/program-port.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

function portIn(files: Readonly<Record<string, string>>, frameworkPort?: number): readonly [number, string] {
  const directory = temporaryDirectory(files);
  const { port, reason } = portOf(findProgram(directory, { ini: false, unbuilt: true }), frameworkPort);
  return [port, reason];
}

describe('in the source', () => {
  test.each([
    ['app.listen(3001)', 3001],
    ["app.listen('3001', () => {})", 3001],
    ['app.listen({ host: "::", port: 3001 })', 3001],
    ['app.listen(process.env.PORT || 3001)', 3001],
    ['app.listen(process.env["PORT"] ?? "3001")', 3001],
    ['app.listen(parseInt(process.env.PORT, 10) || 3001)', 3001],
    ['app.listen(Number(process.env.PORT ?? 3001))', 3001],
    ['const { PORT = 3001 } = process.env;\napp.listen(PORT)', 3001],
    ['const PORT = 3001;\napp.listen(PORT)', 3001],
    ['const port: number = 3001;\napp.listen(port)', 3001],
    ["app.listen(config.get('PORT', 3001))", 3001],
    ['app.listen(process.env.API_PORT || 3001)', 3001],
    ['const apiPort = Number(process.env.API_PORT ?? 3001);\napp.listen(apiPort)', 3001],
    ['const { API_PORT: apiPort = 3001 } = process.env;\napp.listen({ host, port: apiPort })', 3001],
    ['serve({ fetch: app.fetch, port: 3001 })', 3001],
    ['// was app.listen(9999)\n/* port: 9998 */\napp.listen(3001)', 3001],
    ['app.listen(0)', 8080],
    ['app.listen(configuration.port)', 8080],
    ["app.listen('/run/app.sock')", 8080],
    ['app.listen(70000)', 8080],
  ])('the port of %s is %i', (source, port) => {
    expect(portIn({ 'server.js': source })[0]).toBe(port);
  });

  test('of the program’s build is read', () => {
    const files = {
      'package.json': '{"scripts": {"start": "node dist/main.js", "build": "tsc"}}',
      'src/main.ts': 'await app.listen(process.env.PORT ?? 3001);',
    };
    expect(portIn(files)).toEqual([3001, 'src/main.ts']);
  });
});

test.each([
  ['app.listen(process.env.API_PORT)'],
  ["app.listen(Number(process.env['API_PORT'] ?? 3001))"],
  ['const port = parseInt(process.env.API_PORT, 10);\napp.listen({ port, host })'],
  ['const { API_PORT, OTHER } = process.env;\napp.listen(API_PORT, () => {})'],
  ['const { OTHER, API_PORT: apiPort = 3001 } = process.env;\napp.listen(+apiPort)'],
])('the port may be in a variable that the program names: %s', (source) => {
  const files = { 'server.js': source, 'package.json': '{"scripts": {"start": "API_PORT=4000 node server.js"}}' };
  expect(portIn(files)[0]).toBe(4000);
  expect(portIn({ 'server.js': source, '.env': 'API_PORT=5000\nPORTAL=6000\n' })).toEqual([5000, 'API_PORT in .env']);
});

test('the command and .env override the source, which overrides the framework', () => {
  const source = { 'server.js': 'app.listen(3001)' };
  const script = (start: string) => ({ 'package.json': JSON.stringify({ scripts: { start } }) });
  expect(portIn({ ...source, ...script('PORT=4000 node server.js'), '.env': 'PORT=5000' })[0]).toBe(4000);
  expect(portIn({ ...source, ...script('node server.js --port 4000') })[0]).toBe(4000);
  expect(portIn({ ...source, '.env': 'PORT="5000"\n' })).toEqual([5000, 'PORT in .env']);
  expect(portIn(source, 6000)[0]).toBe(3001);
  expect(portIn({ 'server.js': 'start()' }, 6000)[0]).toBe(6000);
});
