/**
 * Records docs/terminal.svg: runs scripts/terminal/tour.sh on a pseudo-terminal and draws what it wrote, as it came.
 *
 *     npm run build && npm run record [-- FILE]
 *
 * Pauses are cut to 0.7 s; nothing else is changed.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { record, withoutIdling } from './terminal/record.ts';
import { linesOf } from './terminal/screen.ts';
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
  const chunks = await record(`bash '${join(HERE, 'terminal/tour.sh')}'`, {
    ...SIZE,
    cwd: home,
    env: {
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
  const lines = await linesOf(shown, { ...SIZE, step: 0.1 });
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

/** The port that people know, if it is free; else any that is. */
function standardPort(port: number): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(standardPort(0)));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : port));
    });
  });
}
