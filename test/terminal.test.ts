/** scripts/record-terminal.ts: what a program writes on a pseudo-terminal becomes a picture of it, small and readable. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseRecording, record, withoutIdling } from '../scripts/terminal/record.ts';
import { linesOf } from '../scripts/terminal/screen.ts';
import { svgOf } from '../scripts/terminal/svg.ts';
import { startChromium } from './helpers/chromium.ts';
import { temporaryDirectory } from './helpers/directory.ts';
import { ROOT, requireProgram } from './helpers/program.ts';

const SIZE = { columns: 40, rows: 3 };
const WORDS = { title: 'a title', description: 'a <description>' };
const SHOWN =
  '[...document.querySelectorAll("tspan")].map((each) => [each.textContent, getComputedStyle(each).visibility])';
const PICTURE = join(ROOT, 'docs/terminal.svg');

test('a recording is read piece by piece, each with its time', () => {
  const output = Buffer.from('Script started on ...\né1 two');
  expect(parseRecording(output, '0.500000 1\n0.250000 2\n1.000000 4\n')).toEqual([
    { time: 0.5, text: '' },
    { time: 0.75, text: 'é1' },
    { time: 1.75, text: ' two' },
  ]);
});

test('long pauses are cut, and nothing else', () => {
  const chunks = [0.1, 5.1, 5.3].map((time) => ({ time, text: 'x' }));
  expect(withoutIdling(chunks, 1).map(({ time }) => time.toFixed(1))).toEqual(['0.1', '1.1', '1.3']);
});

const script = requireProgram('script');

test.skipIf(script === undefined)('a program is recorded, and its screen known', async () => {
  const chunks = await record(`printf 'one \\033[32mgreen\\033[0m'; sleep 0.3; printf '\\rtwo\\nlast'`, SIZE);
  const lines = await linesOf(chunks, { ...SIZE, step: 0.1 });
  expect(lines.map(({ pieces }) => pieces.map(({ text, look }) => [text, look]))).toEqual([
    [
      ['two', ''],
      ['green', 'colour-2'],
    ],
    [['last', '']],
  ]);
  const [two, green] = lines[0]?.pieces ?? [];
  expect(two?.time).toBeGreaterThan(green?.time ?? Number.POSITIVE_INFINITY);
});

describe('the picture', () => {
  const chunks = ['a\r\n', 'b & <c>\r\n', 'd\r\n', 'e\r\n', 'f'].map((text, time) => ({ time, text }));
  const draw = async () => svgOf(await linesOf(chunks, { ...SIZE, step: 0.1 }), { ...SIZE, ...WORDS });

  test('says in keyframes when each line comes, and scrolls', async () => {
    const svg = await draw();
    expect(svg).toContain('b &amp; &lt;c&gt;');
    expect(svg.match(/@keyframes t/g)).toHaveLength(4);
    expect(svg).toContain('.all{transform:translateY(-38px)}');
    expect(svg).toMatch(/prefers-reduced-motion:no-preference/);
    expect(svg).not.toContain('<script');
  });

  const chromium = requireProgram('chromium');

  test.skipIf(chromium === undefined)('is a still of the end for who wants no motion', async () => {
    const file = join(temporaryDirectory({ 'x.svg': await draw() }), 'x.svg');
    const browser = await startChromium(chromium ?? '');
    const page = await (await browser.newContext({ reducedMotion: 'reduce' })).newPage();
    await page.goto(pathToFileURL(file).href);
    const shown = await page.evaluate(SHOWN);
    expect(shown).toEqual(['a', 'b & <c>', 'd', 'e', 'f'].map((text) => [text, 'visible']));
  });
});

test('the picture in docs/ is small, and holds what the tour shows', () => {
  expect(statSync(PICTURE).size).toBeLessThan(60_000);
  const svg = readFileSync(PICTURE, 'utf8');
  const text = svg.replace(/<[^>]*>/g, '');
  for (const part of ['reloaded in', 'did you mean "makeApp"?', 'npm:paster#fastcgi', '200 200'])
    expect(text).toContain(part);
});
