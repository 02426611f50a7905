/** Random edits, errors and repairs of a project under `serve --reload`: each response equals that of a cold process. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, type Program, serve } from '../../helpers/programs/program.ts';
import { coldResponse } from './cold-response.ts';

const MODULES = 20;
/** `PASTER_CHAOS_EDITS=200` makes a long run, `PASTER_CHAOS_SEED` repeats the same edits. */
const EDITS = Number(process.env['PASTER_CHAOS_EDITS'] ?? 40);
const SEED = Number(process.env['PASTER_CHAOS_SEED'] ?? Date.now() % 1_000_000);

const note = (name: string) => `import { log } from 'log';\nlog.push('${name}');\n`;

const PACKAGES: Readonly<Record<string, string>> = {
  log: 'export const log = [];\n',
  ...Object.fromEntries(['alpha', 'beta', 'gamma', 'delta'].map((name) => [name, note(name)])),
  'reads-env': `${note('reads-env')}export const mode = process.env.CHAOS_MODE;\nlog.push(mode ?? 'none');\n`,
  'reads-global': `${note('reads-global')}log.push(globalThis.chaos ?? 'none');\n`,
  'sets-env': `${note('sets-env')}process.env.CHAOS_MODE = 'package';\n`,
  'adds-global': `${note('adds-global')}globalThis.chaos ??= 'package';\n`,
  listens: `${note('listens')}process.on('SIGWINCH', () => {});\n`,
  defers: `${note('defers')}export const defer = () => import('deferred');\n`,
  deferred: `import './part.js';\n${note('deferred')}`,
};

/** Imported by `deferred`. */
const PART = `${note('deferred/part')}log.push(process.env.CHAOS_MODE ?? 'none', globalThis.chaos ?? 'none');\n`;

const USUAL_START = "import { defer } from 'defers';\nexport const start = defer;";
/** Other code that the factory may contain. */
const STARTS = [
  "import 'defers';\nexport const start = () => {};",
  "import { defer } from 'defers';\nawait defer();\nexport const start = defer;",
  "import { defer } from 'defers';\nimport 'deferred';\nexport const start = defer;",
  "import { defer } from 'defers';\nexport const start = () => import('alpha').then(defer);",
  "import { defer } from 'defers';\nexport const start = () => defer().then(() => import('./start-later.js'));",
];
/** With this code, `deferred` is no longer imported ahead. */
const LAST_START =
  "import { defer } from 'defers';\nexport const start = () => (process.env.CHAOS_MODE = 'start', defer());";

/** Lines that an own module may have after its imports. */
const CODE = ["process.env.CHAOS_MODE = 'own';", "globalThis.chaos = 'own';", 'Array.chaos = 1;'];

interface Module {
  version: number;
  packages: string[];
  children: number[];
  code: string;
  isBroken: boolean;
}

class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }
}

function source(index: number, { version, packages, children, code, isBroken }: Module): string {
  const imports = [
    ...packages.map((name) => `import '${name}';`),
    ...children.map((child) => `import { text as m${child} } from './m${child}.js';`),
  ];
  const parts = [`'m${index}.${version};'`, ...children.map((child) => `m${child}`)];
  return `${imports.join('\n')}\n${code}\nexport const text = [${parts}].join(' ');\n${isBroken ? '(' : ''}\n`;
}

const PART_MS = 80;
const SPARE_IS_READY = /has imported \d+ packages? ahead|has no packages to import ahead/;
const MOST_MS = 3000;

/** There may be nothing to wait for: a spare worker that was ready earlier, and has not been used. */
async function spareIsReady(program: Program): Promise<void> {
  const until = performance.now() + MOST_MS;
  while (performance.now() < until) {
    if (SPARE_IS_READY.test(program.output.slice(program.output.lastIndexOf('is ready')))) return;
    await sleep(10);
  }
}

const APP = `import { text } from './m0.js';
import { log } from 'log';
import { start } from './start.js';
const app = (req, res) => res.end(JSON.stringify({
  text,
  log,
  env: process.env.CHAOS_MODE ?? 'none',
  globals: [globalThis.chaos ?? 'none', Array.chaos ?? 0],
  listeners: process.listenerCount('SIGWINCH'),
}));
export const makeApp = async () => {
  await start();
  return app;
};
`;

const INI = '[app:main]\nuse = call:./app.js:makeApp\n\n[server:main]\nuse = npm:paster#http\nport = 0\n';

test(`${EDITS} edits, seed ${SEED}`, { timeout: 30_000 + EDITS * 15_000 }, async () => {
  const random = new Random(SEED);
  const directory = temporaryDirectory({ 'package.json': '{"type": "module"}', 'app.js': APP, 'develop.ini': INI });
  for (const [name, text] of Object.entries(PACKAGES)) {
    const home = join(directory, 'node_modules', name);
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, 'package.json'), `{"name": "${name}", "type": "module", "exports": "./index.js"}`);
    writeFileSync(join(home, 'index.js'), text);
  }
  writeFileSync(join(directory, 'node_modules/deferred/part.js'), PART);
  writeFileSync(join(directory, 'start-later.js'), "import 'beta';\n");
  writeFileSync(join(directory, 'start.js'), USUAL_START);
  const modules = Array.from({ length: MODULES }, (_each, index): Module => {
    // Each module is imported by the one with half its number.
    const children = [index * 2 + 1, index * 2 + 2].filter((child) => child < MODULES);
    const packages = index % 3 === 0 ? [random.pick(Object.keys(PACKAGES).slice(1, 5))] : [];
    return { version: 0, packages, children, code: '', isBroken: false };
  });
  const save = (index: number) => {
    const module = modules[index];
    if (module) writeFileSync(join(directory, `m${index}.js`), source(index, module));
  };
  for (const index of modules.keys()) save(index);
  const cold = () => coldResponse(directory);
  const program = await serve(['develop.ini', '--reload', '-v'], { cwd: directory });
  const ask = async () => (await fetch(program.url, { headers: { connection: 'close' } })).text();
  expect(await ask()).toBe(await cold());

  for (let edit = 0; edit < EDITS; edit++) {
    const broken = modules.findIndex(({ isBroken }) => isBroken);
    const index = broken >= 0 ? broken : random.below(MODULES);
    const module = modules[index];
    if (!module) throw new Error(`no module ${index}`);
    module.version++;
    module.isBroken = broken < 0 && random.below(8) === 0;
    const isEarly = edit < EDITS / 3;
    // Later, changes by modules may prevent packages from being imported ahead.
    switch (isEarly ? 4 : random.below(7)) {
      case 0:
        module.packages = [...module.packages, random.pick(Object.keys(PACKAGES))];
        break;
      case 1:
        module.packages = module.packages.slice(1);
        break;
      case 2:
        module.children.reverse();
        break;
      case 3:
        module.code = module.code === '' ? random.pick(CODE) : '';
        break;
      case 4:
        // Every second time, so that the next edit finds it imported ahead.
        writeFileSync(
          join(directory, 'start.js'),
          edit % 2 === 1 ? USUAL_START : random.pick(isEarly ? STARTS : [...STARTS, LAST_START]),
        );
        break;
      default:
    }
    const { length } = program.output;
    save(index);
    const expected = module.isBroken ? undefined : cold();
    // Requests in between would take more processor time than the reload.
    await eventually(() => (module.isBroken ? /SyntaxError/ : /reloaded in/).test(program.output.slice(length)));
    if (module.isBroken) await eventually(async () => (await ask()).includes('SyntaxError'));
    else {
      let body = '';
      await eventually(async () => {
        body = await ask();
        return body.includes(`m${index}.${module.version};`);
      });
      expect(body, `edit ${edit}`).toBe(await expected);
    }
    // By the next edit the spare worker has imported everything, a part, or nothing.
    const pause = random.below(3);
    if (pause === 0) await spareIsReady(program);
    else await sleep((pause - 1) * PART_MS);
  }
});
