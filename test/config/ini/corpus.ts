/** The INI texts in test/data/ini, each with the result of CPython (see test/oracle/README.md). */
import { readdirSync, readFileSync } from 'node:fs';

const DATA = new URL('../../data/ini/', import.meta.url);

/** What Paste Deploy adds to [DEFAULT] before it reads a file; the oracle got the same. */
export const FILE = '/srv/app/etc/config.ini';
export const BUILT_IN: ReadonlyMap<string, string> = new Map([
  ['here', '/srv/app/etc'],
  ['__file__', FILE],
]);

/** `[key, raw]`, `[key, raw, interpolated]` or `[key, raw, null, class of the error, detail]`. */
export type GoldenItem = readonly [key: string, raw: string, value?: string | null, error?: string, detail?: string];

export interface GoldenSection {
  readonly name: string;
  readonly items: readonly GoldenItem[];
  readonly inherited?: readonly GoldenItem[];
}

export type Golden =
  | { readonly sections: readonly GoldenSection[]; readonly defaults?: readonly GoldenItem[]; readonly error?: never }
  | { readonly error: string; readonly lines: readonly number[]; readonly syntax?: readonly number[] };

export interface Case {
  readonly name: string;
  readonly text: string;
  readonly golden: Golden;
}

/** All texts of the corpus. */
export function corpus(): Case[] {
  const handmade = goldenRows('handmade').map(({ name, ...golden }) => {
    const text = handmadeTexts().get(String(name));
    if (text === undefined) throw new Error(`the golden file has a case that no .cases file has: ${name}`);
    return { name: String(name), text, golden: golden as unknown as Golden };
  });
  const generated = goldenRows('generated').map(({ text, ...golden }, index) => ({
    name: `generated ${index}`,
    text: String(text),
    golden: golden as unknown as Golden,
  }));
  return [...handmade, ...generated];
}

function goldenRows(name: string): Record<string, unknown>[] {
  return JSON.parse(readFileSync(new URL(`golden/${name}.json`, DATA), 'utf8'));
}

let texts: Map<string, string> | undefined;

/** The handmade texts by name. */
export function handmadeTexts(): ReadonlyMap<string, string> {
  if (texts !== undefined) return texts;
  texts = new Map();
  for (const file of readdirSync(new URL('handmade/', DATA)).sort()) {
    const parts = readFileSync(new URL(`handmade/${file}`, DATA), 'utf8').split(/^#### (.*)\n/m);
    for (let index = 1; index < parts.length; index += 2) {
      texts.set(`${file.replace(/\.cases$/, '')}: ${parts[index]}`, unescaped(parts[index + 1] ?? ''));
    }
  }
  return texts;
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\\': '\\', n: '\n', r: '\r', t: '\t' };

function unescaped(written: string): string {
  return written.replace(
    /\\(?:(-\n)|x([0-9a-f]{2})|u([0-9a-f]{4})|(.))/gs,
    (whole, lineEnd?: string, byte?: string, unit?: string, short?: string) => {
      if (lineEnd !== undefined) return '';
      const code = byte ?? unit;
      if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16));
      const character = SHORT_ESCAPES[short ?? ''];
      if (character === undefined) throw new Error(`unknown escape ${whole}`);
      return character;
    },
  );
}
