/** A directory for one program: the application's files, and the command of paster that is measured. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `BENCH_PASTER` is another build to measure, for a comparison. */
const PASTER = process.env.BENCH_PASTER ?? fileURLToPath(new URL('../../bin/paster.js', import.meta.url));

/** `paster serve` with these arguments. @returns {string[]} */
export function serve(...args) {
  return [process.execPath, PASTER, 'serve', ...args];
}

/** `[app:main]` in app.js, over HTTP. */
export function iniFile(port) {
  return `[app:main]\nuse = module:./app.js\n\n[server:main]\nuse = npm:paster#http\nport = ${port}\n`;
}

/** A bare node:http server of the same application. */
export function bareServer(port) {
  return `import { createServer } from 'node:http';
import app from './app.js';

createServer(app).listen(${port}, '127.0.0.1');
`;
}

/**
 * Calls back with a temporary directory that has these files, and removes it.
 *
 * @template T
 * @param {Record<string, string>} files
 * @param {(directory: string) => Promise<T>} use
 */
export async function inDirectory(files, use) {
  const directory = mkdtempSync(join(tmpdir(), 'paster-bench-'));
  try {
    for (const [name, text] of Object.entries({ 'package.json': '{"type": "module"}\n', ...files })) {
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), text);
    }
    return await use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
