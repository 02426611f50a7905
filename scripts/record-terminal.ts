/**
 * Draws docs/terminal.svg, the picture of README.md: runs scripts/terminal/tour.sh and shows what it prints, when it prints it.
 *
 *     npm run build && npm run record:terminal [-- FILE]
 *
 * Pauses are cut to 0.7 s; nothing else is changed.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { standardPort } from './terminal/port.ts';
import { linesOf, record, withoutIdling } from './terminal/recording.ts';
import { svgOf } from './terminal/svg.ts';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(HERE);
const SIZE = { columns: 100, rows: 24 };
const LONGEST_PAUSE = 0.7;

const [file = join(ROOT, 'docs/terminal.svg')] = process.argv.slice(2);
const home = mkdtempSync(join(tmpdir(), 'tour-'));
try {
  const command = join(home, 'paster');
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'bin/paster.js')}' "$@"\n`);
  chmodSync(command, 0o755);
  const chunks = await record(join(HERE, 'terminal/tour.sh'), {
    cwd: home,
    columns: SIZE.columns,
    env: {
      TERM: 'xterm',
      PATH: `${home}:${process.env['PATH']}:/usr/sbin`,
      HOME: home,
      LANG: 'C.UTF-8',
      PASTER_HOME: ROOT,
      PORT: String(await standardPort(8080)),
      NGINX_PORT: String(await standardPort(8900)),
    },
  });
  const shown = withoutIdling(chunks, LONGEST_PAUSE).map(({ time, text }) => ({
    time,
    text: text.replaceAll(home, ''),
  }));
  const lines = linesOf(shown, { ...SIZE, step: 0.1 });
  const svg = svgOf(lines, {
    ...SIZE,
    title: 'paster in a terminal',
    description:
      'paster create makes a project; serve --reload answers with each edit, and with the error after a mistake; config --tree shows what runs; FastCGI behind nginx loses none of 200 requests during HUP.',
  });
  writeFileSync(file, svg);
  const seconds = Math.max(...lines.flatMap(({ pieces }) => pieces.map(({ time }) => time)));
  process.stdout.write(`${file}: ${lines.length} lines, ${seconds.toFixed(1)} s, ${svg.length} bytes\n`);
} finally {
  rmSync(home, { recursive: true, force: true });
}
