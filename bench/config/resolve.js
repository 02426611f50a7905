/**
 * `node resolve.js FILE CHAIN [all]`: reads FILE, resolves the app at the end of the first chain of `use` (all: of every
 * one) and interpolates every section, as config does; prints the milliseconds.
 */
import { performance } from 'node:perf_hooks';
import { viewDocument } from '../../dist/deploy/document-view.js';
import { loadContext } from '../../dist/deploy/load.js';
import '../../dist/deploy/schemes/call.js';
import '../../dist/deploy/schemes/config.js';
import { LoadSession } from '../../dist/deploy/session.js';

const [file, chain, all] = process.argv.slice(2);
const start = performance.now();
const session = new LoadSession();
const document = await session.read(file);
let settings = 0;
for (let index = chain - 1; index < document.sections.size; index += Number(chain)) {
  const context = await loadContext('app', `config:${file}#a${index}`, {}, session);
  settings += Object.keys(context.localConf).length;
  if (all === undefined) break;
}
const { sections, errors } = viewDocument(document, {}, false);
const time = performance.now() - start;
if (settings === 0 || errors.length > 0) throw new Error('it was not resolved');
const values = sections.reduce((sum, { entries }) => sum + entries.length, 0);
process.stdout.write(`${values} values, ${time}\n`);
