/** Saving a file with a page open in Chromium: how long until the page shows the new version, beside a page that Vite reloads. */
import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { freePort, Program } from '../measure/program.js';
import { median, roundsOf, spread, takeTurns } from '../measure/rounds.js';
import { inDirectory, iniFile, serve } from './site.js';

const ROUNDS = roundsOf(4);
const EDITS = 5;
const SETTLE_MS = 1500;
const BETWEEN_MS = 700;
const PATIENCE_MS = 10_000;
const GOAL_MS = 100;
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/google-chrome'].find((path) => existsSync(path));
const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));

const page = (text, end = '') =>
  `<!doctype html><title>x</title><link rel=icon href="data:,"><h1 id=v>${text}</h1>${'<p>text</p>'.repeat(50)}${end}`;

const PROGRAMS = {
  paster: {
    files: (port) => ({ 'x.ini': iniFile(port) }),
    command: () => serve('x.ini', '--reload'),
    source: (text) =>
      `export default (req, res) => res.setHeader('content-type', 'text/html').end(${JSON.stringify(page(text))});\n`,
  },
  Vite: {
    files: () => ({ 'index.html': page('', '<script type=module src=/app.js></script>') }),
    command: (port) => [
      ...[process.execPath, 'node_modules/vite/bin/vite.js'],
      ...['--port', String(port), '--strictPort', '--host', '127.0.0.1'],
    ],
    source: (text) => `document.getElementById('v').textContent = ${JSON.stringify(text)};\n`,
  },
};

/** Reports when a new text is on the screen, by the clock that the page and this process have in common. */
const REPORT = `(() => {
  let shown;
  const look = () => {
    const text = document.getElementById('v')?.textContent;
    if (!text || text === shown) return;
    shown = text;
    requestAnimationFrame(() => {
      // After the frame is painted.
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => console.log('shown', text, performance.timeOrigin + performance.now());
      port2.postMessage(0);
    });
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true });
})();`;

/** @returns {Promise<import('../report/table.js').Row[]>} */
export async function repainting() {
  if (!CHROMIUM) {
    return [{ what: 'a page in the browser', figure: 'no Chromium', goal: '', met: undefined, detail: '' }];
  }
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  try {
    const turns = Object.entries(PROGRAMS).map(([name, program]) => [name, () => edit(program, browser)]);
    const found = await takeTurns(Object.fromEntries(turns), ROUNDS);
    return Object.entries(found).map(([name, rounds]) => {
      const times = rounds.flat();
      const isOurs = name === 'paster';
      return {
        what: `${isOurs ? '' : '  '}${name}: from saving to the repainted page`,
        figure: `${median(times).toFixed(0)} ms`,
        goal: isOurs ? `<= ${GOAL_MS} ms` : '',
        met: isOurs ? median(times) <= GOAL_MS : undefined,
        detail: spread(times),
      };
    });
  } finally {
    await browser.close();
  }
}

/** @returns {Promise<number[]>} the milliseconds of each edit */
function edit({ files, command, source }, browser) {
  return inDirectory({ 'app.js': source('v0') }, async (directory) => {
    const port = await freePort();
    symlinkSync(MODULES, join(directory, 'node_modules'));
    for (const [name, text] of Object.entries(files(port))) writeFileSync(join(directory, name), text);
    const program = await Program.start(command(port), { cwd: directory, ready: /serving on|Local/ });
    const context = await browser.newContext();
    try {
      const tab = await context.newPage();
      await tab.addInitScript(REPORT);
      const whenShown = (expected) =>
        tab.waitForEvent('console', {
          predicate: (message) => message.text().startsWith(`shown ${expected} `),
          timeout: PATIENCE_MS,
        });
      const times = [];
      await Promise.all([whenShown('v0'), tab.goto(`http://127.0.0.1:${port}/`)]);
      await sleep(SETTLE_MS);
      for (let version = 1; version <= EDITS; version++) {
        const shown = whenShown(`v${version}`);
        const saved = performance.timeOrigin + performance.now();
        writeFileSync(join(directory, 'app.js'), source(`v${version}`));
        times.push(Number((await shown).text().split(' ')[2]) - saved);
        // A varying pause, so that it does not fall into step with a tool that polls.
        await sleep(BETWEEN_MS * (1 + version / EDITS));
      }
      return times;
    } finally {
      await context.close();
      await program.stop();
    }
  });
}
