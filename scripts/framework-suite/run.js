/**
 * Runs Fastify's own test suite, which its npm package contains, twice: as it is, and with every request sent through
 * paster's FastCGI server (through-gateway.js). Prints how many tests there are, and which of those that pass on node:http
 * fail through the gateway, each with its reason from differences.json. Exit status 1 if one has none there, or if one
 * that is there does not differ.
 *
 *     npm run test:framework                      the whole suite; installs what its tests need, the first time
 *     npm run test:framework -- 404s hooks        the files of these names
 *     npm run test:framework -- --here 404s       with what is installed here
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '../..');
/** Longer than Fastify's keep-alive timeout of 72 s, which one file waits for. */
const FILE_TIMEOUT_MS = 100_000;
/** Files at a time. */
const CONCURRENCY = 2;

/** Fastify's development dependencies that none of its tests loads. */
const NOT_FOR_TESTS =
  /eslint|stylistic|@types|autocannon|borp|branch|concurrently|cross-env|markdownlint|neostandard|tstyche|typescript|reporter|tsconfig/;

/** A directory with Fastify and all that its tests load; made once for each version. */
async function installed() {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'node_modules/fastify/package.json'), 'utf8'));
  const directory = join(ROOT, `node_modules/.cache/fastify-suite-${manifest.version}`);
  if (existsSync(join(directory, 'node_modules/fastify'))) return directory;
  const forTests = Object.entries(manifest.devDependencies).filter(([name]) => !NOT_FOR_TESTS.test(name));
  const dependencies = { fastify: manifest.version, ...Object.fromEntries(forTests) };
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ private: true, dependencies }));
  const npm = spawn('npm', ['install', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: directory,
    stdio: 'inherit',
  });
  const [status] = await once(npm, 'exit');
  if (status !== 0) throw new Error('npm could not install what the tests need');
  return directory;
}

function testFiles(fastify, names) {
  const all = readdirSync(join(fastify, 'test'), { recursive: true })
    .filter((file) => /\.test\.m?js$/.test(file))
    .map((file) => file.replaceAll('\\', '/'))
    .sort();
  return names.length === 0 ? all : all.filter((file) => names.includes(file.replace(/\.test\.m?js$/, '')));
}

/** Bundles the preload with the files of paster that it imports, since dist/ does not have them one by one. @returns its path */
async function bundledPreload() {
  const file = join(ROOT, 'node_modules/.cache/framework-suite/through-gateway.js');
  const bundled = await rolldown({ input: join(HERE, 'through-gateway.js'), platform: 'node', external: /^[^./]/ });
  await bundled.write({ file, codeSplitting: false });
  return file;
}

/** One file's tests: name to `{ passed, error }`. */
async function runFile(fastify, file, output, preload) {
  const options = ['--test-reporter=tap', `--test-reporter-destination=${output}`];
  if (preload !== undefined) options.unshift('--import', preload);
  const child = spawn(process.execPath, [...options, join('test', file)], {
    cwd: fastify,
    stdio: 'ignore',
    env: { ...process.env, NODE_OPTIONS: '', PASTER_SUITE_COUNT: `${output}.count` },
    timeout: FILE_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  const [status, signal] = await once(child, 'exit');
  const tests = readTap(existsSync(output) ? readFileSync(output, 'utf8') : '', file);
  if (signal !== null || tests.size === 0)
    tests.set(`${file}: the file`, { passed: false, error: `ended with ${signal ?? status}` });
  return tests;
}

/**
 * The results by name: that of the file, of the tests around a test, and its own; a name that occurs again gets a number. It reads
 * TAP, because node:test would wait until a custom reporter is loaded, and code outside of Fastify's tests would run before the
 * first one.
 */
function readTap(tap, file) {
  const tests = new Map();
  const parents = [];
  let last;
  const lines = tap.split('\n');
  for (const [index, line] of lines.entries()) {
    const begins = /^( *)# Subtest: (.*)$/.exec(line);
    if (begins) {
      parents.length = begins[1].length / 4;
      parents.push(begins[2]);
      continue;
    }
    const ends = /^( *)(not ok|ok) \d+ - (.*?)( # (?:SKIP|TODO).*)?$/.exec(line);
    if (ends) {
      last = undefined;
      if (ends[4] !== undefined) continue;
      const path = `${file}: ${[...parents.slice(0, ends[1].length / 4), ends[3]].join(' > ')}`;
      let name = path;
      for (let n = 2; tests.has(name); n++) name = `${path} (${n})`;
      last = { passed: ends[2] === 'ok', error: '', failedInside: false };
      tests.set(name, last);
    } else if (last !== undefined) {
      // The YAML block of a failure.
      if (/^ *failureType: 'subtestsFailed'/.test(line)) last.failedInside = true;
      const error = /^ *error: '?(.+?)'?$/.exec(line)?.[1];
      last.error ||= (error === '|-' ? lines[index + 1]?.trim() : error) ?? '';
    }
  }
  return tests;
}

async function runAll(fastify, files, preload) {
  const directory = mkdtempSync(join(tmpdir(), 'paster-suite-'));
  const results = new Map();
  let requests = 0;
  const queue = files.entries();
  const worker = async () => {
    for (const [index, file] of queue) {
      const output = join(directory, String(index));
      for (const [name, result] of await runFile(fastify, file, output, preload)) results.set(name, result);
      if (existsSync(`${output}.count`)) requests += Number(readFileSync(`${output}.count`, 'utf8'));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  rmSync(directory, { recursive: true });
  return { results, requests };
}

function print(line) {
  process.stdout.write(`${line}\n`);
}

const args = process.argv.slice(2);
const names = args.filter((arg) => arg !== '--here');
const fastify = join(args.includes('--here') ? ROOT : await installed(), 'node_modules/fastify');
const files = testFiles(fastify, names);
/** Reasons, each with the names of its tests. */
const known = JSON.parse(readFileSync(join(HERE, 'differences.json'), 'utf8'));
const reasons = new Map(known.flatMap(({ reason, tests }) => tests.map((test) => [test, reason])));

const plain = await runAll(fastify, files, undefined);
const through = await runAll(fastify, files, await bundledPreload());
const passing = [...plain.results].filter(([, { passed }]) => passed).map(([name]) => name);
const different = passing.filter((name) => {
  const { passed = false, failedInside = false } = through.results.get(name) ?? {};
  // A test that failed because one inside it did is not counted: that one is.
  return !passed && !failedInside;
});
const unexpected = different.filter((name) => !reasons.has(name));
const ran = new Set(files);
const stale = [...reasons.keys()].filter((name) => ran.has(name.replace(/: .*/s, '')) && !different.includes(name));

print(
  `${files.length} files of ${relative(ROOT, fastify)}/test, ${plain.results.size} tests: ${passing.length} pass on node:http`,
);
print(
  `through the gateway, ${through.requests} requests: ${passing.length - different.length} pass, ${different.length} differ`,
);
for (const { reason, tests } of known) {
  const here = tests.filter((test) => different.includes(test));
  if (here.length === 0) continue;
  print(`\n${here.length} because ${reason}`);
  for (const test of here) print(`    ${test}`);
}
for (const name of unexpected) {
  print(`\nnot expected: ${name}\n    ${through.results.get(name)?.error ?? 'it did not run'}`);
}
for (const name of stale) print(`\nexpected to differ, but does not: ${name}`);
if (process.env['PASTER_SUITE_VERBOSE']) {
  for (const [name, { passed, error }] of plain.results)
    if (!passed) print(`fails on node:http: ${name}\n    ${error}`);
}
process.exitCode = unexpected.length + stale.length > 0 || through.requests === 0 ? 1 : 0;
