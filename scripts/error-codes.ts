/** `npm run docs` writes docs/error-codes.md: the rows of docs/errors.md, sorted by the codes of the errors in the sources. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { errorFamily } from '../src/diagnostics/error-report.ts';
import { allMessages, isMessage } from '../test/helpers/documentation/messages.ts';

const ROOT = join(import.meta.dirname, '..');
export const ERROR_CODES = join(ROOT, 'docs/error-codes.md');

const HEAD = `# Error codes

<!-- Made by "npm run docs" from docs/errors.md and the sources: changes belong there. -->

The messages of each code, with cause and cure. At a terminal and with \`-v\`, paster prints the code of an error that ends a command. In code it is
\`error.code\` ([library](library.md#errors)). [Error messages](errors.md) has the same by topic, and the lines of the log.
`;

const ROW = /^\| `(.+?)` \| (.*) \|$/gm;

const TABLE = '| message | cause and cure |\n| --- | --- |';
/** Rows for messages that are not in the sources, because they only quote an error of your code or of the system. */
const QUOTING: Readonly<Record<string, readonly string[]>> = {
  PASTER_MODULE_FAILED: [
    '| `TypeError: x is not a function` | Your module, or one that it imports, threw this error. The message begins with the place in your code |',
    "| `Error: Cannot find package 'express' imported from /srv/shop/app.js` | The package is not installed. If package.json names it, run `npm install`; otherwise check the spelling |",
  ],
  PASTER_CHECK_WARNING: [
    '| `warning: [app:shop] is not used: nothing refers to it` | A warning of [`paster check`](commands.md#check). The file still works; the message says what has no effect |',
  ],
};

/** Rows of docs/errors.md whose messages begin with a name of yours. */
const NAMED: Readonly<Record<string, RegExp>> = {
  PASTER_INI_UNREADABLE: /^\| `cannot read etc/,
  PASTER_NOT_A_FACTORY: / is not a function but an object`/,
  PASTER_NOT_A_FILE: /^\| `[^:`]* is (?:a directory|not a regular file)`/,
  PASTER_PROCESS_EADDRINUSE: /the address that it listens on is in use`/,
};

function rowsWithoutMessage(code: string, rows: readonly string[]): readonly string[] {
  const named = NAMED[code];
  const found = QUOTING[code] ?? rows.filter((row) => named?.test(row));
  if (found.length === 0) throw new Error(`no message of ${code} is known: add a row here or to docs/errors.md`);
  return found;
}

/** The codes of all errors, also of those whose messages begin with what they quote. */
function thrownCodes(): string[] {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true }).map(String);
  const sources = files
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(join(ROOT, 'src', file), 'utf8'));
  return sources.flatMap((text) => [...text.matchAll(/new \w+Error\(\s*'(PASTER_\w+)'/g)].map(([, code = '']) => code));
}

/** The whole page. */
export function errorCodesPage(): string {
  const rows = [...readFileSync(join(ROOT, 'docs/errors.md'), 'utf8').matchAll(ROW)];
  const byCode = new Map<string, Set<string>>();
  for (const { code, text } of allMessages()) {
    if (code === undefined) continue;
    const family = errorFamily(code);
    const entries = byCode.get(family) ?? new Set();
    for (const [line, row = ''] of rows) if (isMessage(row, text)) entries.add(line);
    byCode.set(family, entries);
  }
  for (const code of thrownCodes()) if (!byCode.has(errorFamily(code))) byCode.set(code, new Set());
  const sections = [...byCode]
    .toSorted(([one], [other]) => one.localeCompare(other))
    .map(([code, lines]) =>
      [
        `## ${code}\n`,
        TABLE,
        ...(lines.size > 0
          ? lines
          : rowsWithoutMessage(
              code,
              rows.map(([line]) => line),
            )),
        '',
      ].join('\n'),
    );
  return [HEAD, ...sections].join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(ERROR_CODES, errorCodesPage());
