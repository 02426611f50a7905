/**
 * Reads pm2's ecosystem file: JavaScript, JSON (which pm2 evaluates as JavaScript) or YAML. The file is code, so it runs in a
 * process of its own.
 */
import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { placeOfError } from '../../deploy/modules/error-place.ts';
import { ConfigError, RunError } from '../../errors.ts';
import { readText } from './procfile.ts';

/** Runs in the child: writes what the file exports, or its error, to descriptor 3. */
const EVALUATE = `
import { closeSync, readFileSync, realpathSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, delimiter, extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runInThisContext } from 'node:vm';

// Names that Node defines for -e alone: an ES module that uses them is an error.
for (const name of ['module', 'exports', 'require']) delete globalThis[name];
const [file] = process.argv.slice(1);
const send = (message) => {
  const text = JSON.stringify(message, (_key, value) => (value instanceof RegExp ? String(value) : value));
  for (let rest = Buffer.from(text); rest.length > 0; ) rest = rest.subarray(writeSync(3, rest));
  closeSync(3);
};
// pm2 brings js-yaml, also where it is installed for all users.
const yaml = () => {
  const global = (process.env.PATH ?? '').split(delimiter).flatMap((directory) => {
    try { return [realpathSync(join(directory, 'pm2'))]; } catch { return []; }
  });
  const own = createRequire(file);
  for (const find of [own, () => own.resolve('pm2/package.json'), ...global.map((each) => () => each)]) {
    try {
      const require = find === own ? own : createRequire(find());
      for (const name of ['js-yaml', 'yaml']) {
        try { const { load, parse } = require(name); return load ?? parse; } catch {}
      }
    } catch {}
  }
  throw new Error('there is no package for YAML: npm install --save-dev yaml, or write the file as JSON');
};
try {
  let value;
  if (/\\.ya?ml$/.test(file)) value = yaml()(readFileSync(file, 'utf8'));
  else if (extname(file) === '.json') value = runInThisContext('(' + readFileSync(file, 'utf8') + '\\n)', { filename: file, columnOffset: -1 });
  else {
    const namespace = await import(pathToFileURL(file));
    value = namespace.default ?? namespace;
  }
  send({ value });
} catch (error) {
  send({ error: { name: error?.name, message: String(error?.message ?? error), stack: error?.stack } });
}
`;

const LIMIT_MS = 30_000;

interface Outcome {
  readonly value?: unknown;
  readonly error?: { readonly name?: string; readonly message: string; readonly stack?: string };
}

/**
 * @param file an absolute path
 * @returns what it exports, without functions
 * @throws ConfigError with the place of the error in the file
 */
export async function loadEcosystem(file: string): Promise<unknown> {
  readText(file);
  const { value, error } = await evaluated(file);
  if (error === undefined) return value;
  const thrown = Object.assign(error.name === 'SyntaxError' ? new SyntaxError() : new Error(), error);
  const place = await placeOfError(thrown, file);
  throw new ConfigError('PASTER_MIGRATE', `cannot evaluate the file: ${firstLine(error.message)}`, {
    // An error in EVALUATE itself has no place in a file.
    location: place !== undefined && !place.file.includes('[eval') ? place : { file, line: 1, column: 1 },
    cause: thrown,
  });
}

function firstLine(text: string): string {
  return text.split('\n', 1).join();
}

function evaluated(file: string): Promise<Outcome> {
  // What the file prints is for the user, but it is not paster's output.
  const child = spawn(process.execPath, ['--input-type=module', '-e', EVALUATE, file], {
    cwd: dirname(file),
    stdio: ['ignore', 2, 2, 'pipe'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let text = '';
  child.stdio[3]?.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  // The file may have opened what would keep its process alive.
  child.stdio[3]?.once('end', () => text !== '' && child.kill('SIGKILL'));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => {
      if (text !== '') return resolve(JSON.parse(Buffer.from(text, 'latin1').toString()) as Outcome);
      const how =
        signal === 'SIGKILL'
          ? `not finished after ${LIMIT_MS / 1000} s`
          : `its process ended with ${signal ?? `status ${status}`}`;
      reject(new RunError('PASTER_MIGRATE', `cannot evaluate ${file}: ${how}`));
    });
  });
}
