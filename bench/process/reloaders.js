/** The programs that serve an application and reload it: paster, and the others that are installed or that npm can install. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bareServer, iniFile, serve } from './site.js';

const FROM_NPM = ['nodemon@3', 'tsx@4'];
const GUNICORN = '/usr/bin/gunicorn';
/** Python's paster, as Debian's python3-pastescript names it. */
const PYTHON_PASTER = '/usr/bin/paster3';

/**
 * @typedef {object} Reloader
 * @property {string} name
 * @property {string[]} command run in the directory of the files
 * @property {string} edited the file that is saved
 * @property {Record<string, string>} files
 * @property {number} [between] the minimum of milliseconds between a response and the next edit
 * @property {(text: string) => string} source the edited file of an application that responds with this text
 */

/**
 * @param {string} directory where those from npm are installed
 * @param {number} port that all of them listen on, one at a time
 * @returns {{ reloaders: Reloader[], leftOut: string[] }} `leftOut`: names of those that are missing, with the reason
 */
export function findReloaders(directory, port) {
  const leftOut = [];
  const node = { files: { 'server.js': bareServer(port) }, edited: 'app.js', source: nodeApp };
  const paster = { files: { 'x.ini': iniFile(port) }, edited: 'app.js', source: nodeApp };
  const reloaders = [
    { name: 'paster', command: serve('x.ini', '--reload'), ...paster },
    { name: 'paster, 2 workers', command: serve('x.ini', '--reload', '-w', '2'), ...paster },
    { name: `node --watch (${process.version})`, command: [process.execPath, '--watch', 'server.js'], ...node },
  ];
  const installed = installFromNpm(directory);
  if (!installed) leftOut.push(...FROM_NPM.map((name) => `${name} (npm cannot install it)`));
  else {
    const [nodemon, tsx] = ['nodemon/bin/nodemon.js', 'tsx/dist/cli.mjs'].map((file) => join(installed, file));
    reloaders.push(
      {
        name: `nodemon ${versionOf(installed, 'nodemon')}`,
        command: [process.execPath, nodemon, 'server.js'],
        ...node,
      },
      {
        name: `tsx watch ${versionOf(installed, 'tsx')}`,
        command: [process.execPath, tsx, 'watch', 'server.js'],
        ...node,
      },
    );
  }
  const python = { edited: 'app.py', source: pythonApp };
  if (!existsSync(GUNICORN)) leftOut.push('gunicorn (not installed)');
  else {
    const command = [GUNICORN, '--reload', '--bind', `127.0.0.1:${port}`, 'app:app'];
    reloaders.push({ name: 'gunicorn --reload', command, files: {}, ...python });
  }
  if (!existsSync(PYTHON_PASTER)) leftOut.push('Python’s paster (no python3-pastescript)');
  else {
    const files = { 'x.ini': pasteIniFile(port) };
    reloaders.push({
      name: 'Python’s paster',
      command: [PYTHON_PASTER, 'serve', 'x.ini', '--reload'],
      files,
      // It looks at the files once a second, and takes the first state that it sees after a start as the one that it runs.
      between: 1500,
      ...python,
    });
  }
  return { reloaders, leftOut };
}

/** @returns {string | undefined} the node_modules that they are in */
function installFromNpm(directory) {
  const home = join(directory, 'npm');
  mkdirSync(home);
  writeFileSync(join(home, 'package.json'), '{}\n');
  const options = ['--prefix', home, '--no-audit', '--no-fund', '--ignore-scripts'];
  const { status } = spawnSync('npm', ['install', ...options, ...FROM_NPM], { stdio: 'ignore' });
  return status === 0 ? join(home, 'node_modules') : undefined;
}

function versionOf(modules, name) {
  return JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8')).version;
}

function nodeApp(text) {
  return `export default (req, res) => res.end(${JSON.stringify(text)});\n`;
}

function pythonApp(text) {
  return `def app(environ, start_response):
    body = ${JSON.stringify(text)}.encode()
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]

def make(global_conf):
    return app
`;
}

function pasteIniFile(port) {
  return `[app:main]
paste.app_factory = app:make

[server:main]
use = egg:Paste#http
host = 127.0.0.1
port = ${port}
`;
}
