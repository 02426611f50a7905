/** Runs `paster create --from` in its own directory. */
import { readFiles, temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';

export const SERVER = "require('node:http').createServer(() => {}).listen(process.env.PORT || 4321);\n";
export const PROGRAMS = { 'server.js': SERVER, 'admin.js': SERVER, 'worker.js': 'setInterval(() => {}, 1000);\n' };

/**
 * Runs the command for the first of these files, in a directory with them and PROGRAMS.
 * @returns its output, and all files of the directory
 */
export async function create(files: Readonly<Record<string, string>>, ...args: string[]) {
  const directory = temporaryDirectory({ ...PROGRAMS, ...files });
  const [from = ''] = Object.keys(files);
  const done = await runHere(['create', '--from', from, ...args], { cwd: directory });
  const written = readFiles(directory);
  return {
    ...done,
    directory,
    config: written['etc/config.ini'] ?? '',
    develop: written['etc/develop.ini'] ?? '',
    written,
  };
}

/** The same for an ecosystem file with one app. */
export const app = (fields: string, ...args: string[]) =>
  create({ 'ecosystem.config.js': `module.exports = { apps: [{ ${fields} }] };\n` }, ...args);
