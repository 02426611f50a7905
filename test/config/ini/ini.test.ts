/** Files on disk are read as UTF-8, or refused with the reason; and large texts are read in linear time. */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseIni, readIni } from '../../../src/config/ini/ini.ts';
import { interpolate } from '../../../src/config/ini/interpolate.ts';
import { ConfigError, formatError, PasterError } from '../../../src/errors.ts';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'paster-ini-'));
});

afterAll(() => rm(directory, { recursive: true, force: true }));

async function written(name: string, content: string | Uint8Array): Promise<string> {
  const file = join(directory, name);
  await writeFile(file, content);
  return file;
}

/** How reading a file fails, as the command prints it. */
async function refusal(file: string): Promise<string> {
  const error = await readIni(file).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConfigError)) throw new Error(`expected a ConfigError, not ${error}`);
  return `${error.code} ${formatError(error, directory)}`.replaceAll(`${directory}/`, '');
}

describe('readIni', () => {
  test('reads a file', async () => {
    const file = await written('good.ini', '[app:main]\r\nname = Zürich 😀\r\n');
    const ini = await readIni(file);
    expect(ini.file).toBe(file);
    expect(ini.sections.get('app:main')?.entries.get('name')?.value).toBe('Zürich 😀');
  });

  test('reads an empty file', async () => {
    expect((await readIni(await written('empty.ini', ''))).sections.size).toBe(0);
  });

  test('keeps a U+FFFD that the file contains', async () => {
    const ini = await readIni(await written('replacement.ini', '[a]\nx = \ufffd\n'));
    expect(ini.sections.get('a')?.entries.get('x')?.value).toBe('\ufffd');
  });

  test('refuses a byte order mark and says how to remove it', async () => {
    const message = await refusal(await written('bom.ini', '\ufeff[a]\n'));
    expect(message).toMatch(/^PASTER_INI_BOM bom\.ini:1:1: .*byte order mark.*sed -i/);
  });

  test.each<[string, number[], string]>([
    ['Latin-1', [0x78, 0x3d, 0xe9, 0x0a], '2:3: the byte 0xe9 is not UTF-8'],
    ['a lone continuation', [0x80], '2:1: the byte 0x80 is not UTF-8'],
    ['an overlong form', [0x61, 0xc0, 0xaf], '2:2: the byte 0xc0 is not UTF-8'],
    ['a surrogate', [0x61, 0xed, 0xa0, 0x80], '2:2: the byte 0xed is not UTF-8'],
    ['a sequence cut by the end of the file', [0x61, 0x0a, 0xef, 0xbf], '3:1: the byte 0xef is not UTF-8'],
    ['a sequence cut by a letter', [0x61, 0xef, 0xbb, 0x41], '2:2: the byte 0xef is not UTF-8'],
    ['U+FFFD before it', [0xef, 0xbf, 0xbd, 0xff], '2:2: the byte 0xff is not UTF-8'],
    ['an astral character before it', [0xf0, 0x9f, 0x98, 0x80, 0xff], '2:3: the byte 0xff is not UTF-8'],
    ['a CR before it', [0x61, 0x0d, 0x62, 0xff], '3:2: the byte 0xff is not UTF-8'],
  ])('refuses bytes that are not UTF-8: %s', async (_, bytes, message) => {
    const file = await written('bytes.ini', Uint8Array.from([0x5b, 0x61, 0x5d, 0x0a, ...bytes]));
    expect(await refusal(file)).toMatch(new RegExp(`^PASTER_INI_ENCODING bytes\\.ini:${message}`));
  });

  test('names UTF-16 and binary files in the refusal', async () => {
    expect(await refusal(await written('utf16.ini', Buffer.from('\ufeff[a]\n', 'utf16le')))).toContain('UTF-16');
    const elf = await refusal(await written('elf.ini', Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 0, 0, 0xff])));
    expect(elf).toMatch(/^PASTER_INI_NOT_INI elf\.ini:1:7: not an INI file: it is binary/);
  });

  test('names the file that was probably meant', async () => {
    const etc = join(directory, 'etc');
    await mkdir(etc);
    await writeFile(join(etc, 'config.ini'), '');
    await writeFile(join(etc, 'develop.ini'), '');
    expect(await refusal(join(etc, 'confg.ini'))).toBe(
      'PASTER_INI_NOT_FOUND cannot read etc/confg.ini: there is no such file (did you mean "config.ini"?)',
    );
    expect(await refusal(join(etc, 'x'))).toContain('(there are: config.ini, develop.ini)');
    expect(await refusal(etc)).toMatch(/^PASTER_INI_UNREADABLE .*it is a directory \(did you mean "config.ini"\?\)/);
    expect(await refusal(join(directory, 'none', 'config.ini'))).toContain('none does not exist either');
    expect(await refusal(join(etc, 'config.ini', 'x.ini'))).toContain('not a directory');
  });

  test('refuses a path that no file can have', async () => {
    expect(await refusal(`${directory}/a\0b`)).toMatch(/^PASTER_INI_UNREADABLE/);
    expect(await refusal(join(directory, 'x'.repeat(5000)))).toMatch(/^PASTER_INI_UNREADABLE/);
  });

  test('says that permission to read a file is missing', async () => {
    const file = await written('secret.ini', '[a]\n');
    await chmod(file, 0);
    // Root can read every file.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65534);
    try {
      expect(await refusal(file)).toMatch(/^PASTER_INI_UNREADABLE cannot read .*secret\.ini: permission denied$/);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });
});

describe('large texts take linear time', { timeout: 30_000 }, () => {
  // No time is measured: at these sizes a reader that is not linear exceeds the time limit.
  const MEGABYTE = 2 ** 20;

  test.each<[string, () => string]>([
    ['many sections', () => Array.from({ length: 400_000 }, (_, index) => `[s${index}]\nkey = value\n`).join('')],
    ['many keys', () => `[a]\n${Array.from({ length: 400_000 }, (_, index) => `key${index} = value\n`).join('')}`],
    ['one long line', () => `[a]\nx = ${'v'.repeat(10 * MEGABYTE)}\n`],
    ['one long key', () => `[a]\n${'k'.repeat(10 * MEGABYTE)} = 1\n`],
    ['one long header', () => `[${']'.repeat(10 * MEGABYTE)}\n`],
    ['one long line of spaces', () => `[a]\nx${' '.repeat(10 * MEGABYTE)}=${' '.repeat(10 * MEGABYTE)}1\n`],
    ['one value of many lines', () => `[a]\nx =\n${'  a line of text\n'.repeat(MEGABYTE)}`],
    ['many blank lines', () => `[a]\nx = 1\n${'\n'.repeat(5 * MEGABYTE)}  2\n`],
    ['many CRs', () => `[a]\rx = 1\r${'\r'.repeat(5 * MEGABYTE)}`],
    [
      'many values of several lines, no CR',
      () => `[a]\n${Array.from({ length: 200_000 }, (_, index) => `k${index} =\n  1\n  2\n`).join('')}`,
    ],
  ])('%s', (_, make) => {
    const text = make();
    const ini = parseIni(text, '/large.ini');
    expect(ini.sections.size).toBeGreaterThan(0);
  });

  test.each<[string, () => string]>([
    ['many unclosed headers', () => `[a]\n${'[b\n'.repeat(3 * MEGABYTE)}`],
    ['many lines without a separator', () => `[a]\n${'b\n'.repeat(5 * MEGABYTE)}`],
    ['one long line without a separator', () => `[a]\n${' b'.repeat(5 * MEGABYTE)}\n`],
    ['many duplicates', () => `[a]\n${'x = 1\n'.repeat(MEGABYTE)}`],
    ['many lines without a section', () => 'x = 1\n'.repeat(3 * MEGABYTE)],
  ])('%s', (_, make) => {
    const text = make();
    expect(() => parseIni(text, '/large.ini')).toThrow(PasterError);
  });

  test('a value with many references', () => {
    const text = '%(x)s%%'.repeat(MEGABYTE);
    const entry = { section: 'a', key: 'k', text, locate: () => ({ file: '/large.ini', line: 1, column: 1 }) };
    expect(interpolate(entry, () => ({ value: 'v' }), {})).toHaveLength(2 * MEGABYTE);
  });
});
