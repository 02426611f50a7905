/** scripts/record-terminal.ts: the output of a script becomes a small, readable picture of a terminal. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { linesOf, record, withoutIdling } from '../scripts/terminal/recording.ts';
import { svgOf } from '../scripts/terminal/svg.ts';
import { temporaryDirectory } from './helpers/directory.ts';
import { startChromium } from './helpers/documentation/chromium.ts';
import { needProgram, ROOT, requireProgram } from './helpers/programs/program.ts';

const SIZE = { columns: 40, rows: 3 };
const WORDS = { title: 'a title', description: 'a <description>' };
const SHOWN =
  '[...document.querySelectorAll("tspan")].map((each) => [each.textContent, getComputedStyle(each).visibility])';
const PICTURE = join(ROOT, 'docs/terminal.svg');

test('only long pauses are shortened', () => {
  const chunks = [0.1, 5.1, 5.3].map((time) => ({ time, text: 'x' }));
  expect(withoutIdling(chunks, 1).map(({ time }) => time.toFixed(1))).toEqual(['0.1', '1.1', '1.3']);
});

test('a script is recorded, with the time and text of its lines', async () => {
  needProgram('script');
  const directory = temporaryDirectory({
    tour: "printf 'one \\033[32mgreen\\033[0m\\n'; read -t 0.3 <> <(:); printf 'a line of more than forty characters, wrapped\\n' >&2",
  });
  const chunks = await record(join(directory, 'tour'), { cwd: directory, env: process.env, columns: 40 });
  const lines = linesOf(chunks, { ...SIZE, step: 0.1 });
  expect(lines.map(({ pieces }) => pieces.map(({ column, text, classes }) => [column, text, classes]))).toEqual([
    [
      [0, 'one ', ''],
      [4, 'green', 'colour-2'],
    ],
    [[0, 'a line of more than forty characters, wr', '']],
    [[0, 'apped', '']],
  ]);
  const [green, long] = lines.map(({ time }) => time);
  expect(long).toBeGreaterThan(green ?? Number.POSITIVE_INFINITY);
});

test('a script that fails is not recorded, nor is one that moves the cursor', async () => {
  needProgram('script');
  const directory = temporaryDirectory({ tour: 'exit 3' });
  await expect(record(join(directory, 'tour'), { cwd: directory, env: {}, columns: 40 })).rejects.toThrow(
    'ended with status 3',
  );
  expect(() => linesOf([{ time: 0, text: '\x1b[2J' }], { ...SIZE, step: 0.1 })).toThrow('no picture');
});

describe('the picture', () => {
  const chunks = ['a\r\n', 'b & <c>\r\n', 'd\r\n', 'e\r\n', 'f'].map((text, time) => ({ time, text }));
  const draw = () => svgOf(linesOf(chunks, { ...SIZE, step: 0.1 }), { ...SIZE, ...WORDS });

  test('shows in keyframes when each line appears, and scrolls', () => {
    const svg = draw();
    expect(svg).toContain('b &amp; &lt;c&gt;');
    expect(svg.match(/@keyframes t/g)).toHaveLength(4);
    expect(svg).toContain('.all{transform:translateY(-38px)}');
    expect(svg).toMatch(/prefers-reduced-motion:no-preference/);
    expect(svg).not.toContain('<script');
  });

  const chromium = requireProgram('chromium');

  test.skipIf(chromium === undefined)('is a still image of the end if the user prefers reduced motion', async () => {
    const file = join(temporaryDirectory({ 'x.svg': draw() }), 'x.svg');
    const browser = await startChromium(chromium ?? '');
    const page = await (await browser.newContext({ reducedMotion: 'reduce' })).newPage();
    await page.goto(pathToFileURL(file).href);
    const shown = await page.evaluate(SHOWN);
    expect(shown).toEqual(['a', 'b & <c>', 'd', 'e', 'f'].map((text) => [text, 'visible']));
  });
});

test('the picture in docs/ is small, and contains what the tour shows', () => {
  expect(statSync(PICTURE).size).toBeLessThan(60_000);
  const svg = readFileSync(PICTURE, 'utf8');
  const text = svg.replace(/<[^>]*>/g, '');
  for (const part of ['reloaded in', 'did you mean "makeApp"?', 'npm:paster#fastcgi', '200 200'])
    expect(text).toContain(part);
});
