/**
 * bench/config.js bundles this as dist/ is bundled, and runs `node program.js FILE CHAIN [all]`. It reads FILE, in which each CHAIN
 * sections use one another, resolves the app at the end of the first chain (all: of every chain), and interpolates every section,
 * as `paster config` does. It prints the milliseconds by the clock and of the processor.
 */
import { performance } from 'node:perf_hooks';
import { viewDocument } from '../../src/deploy/inspect/document-view.ts';
import { loadContext } from '../../src/deploy/load.ts';
import { LoadSession } from '../../src/deploy/session.ts';

const [file = '', chainLength, all] = process.argv.slice(2);
const start = performance.now();
const cpuStart = process.cpuUsage();
const session = new LoadSession();
const document = await session.read(file);
let settings = 0;
for (let index = Number(chainLength) - 1; index < document.sections.size; index += Number(chainLength)) {
  const context = await loadContext('app', `config:${file}#a${index}`, {}, session);
  settings += Object.keys(context.localConf).length;
  if (all === undefined) break;
}
const { sections, errors } = viewDocument(document, {}, false);
const time = performance.now() - start;
const cpu = process.cpuUsage(cpuStart);
if (settings === 0 || errors.length > 0) throw new Error('it was not resolved');
const values = sections.reduce((sum, { entries }) => sum + entries.length, 0);
process.stdout.write(`${values} values, ${time} ${(cpu.user + cpu.system) / 1000}\n`);
