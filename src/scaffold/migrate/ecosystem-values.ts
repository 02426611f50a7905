/** Values of an ecosystem file: what they mean in an INI file, and where they are written. */
import { seconds } from '../../config/setting.ts';
import { backgroundSettings } from '../../deploy/background/process-settings.ts';
import type { Location } from '../../errors.ts';
import { readableText } from '../../files/existing-path.ts';

/** The largest numbers that the settings allow. */
const MOST_MEMORY = backgroundSettings.declarations.max_memory.type.max ?? Number.POSITIVE_INFINITY;
const MOST_SECONDS = seconds.max ?? Number.POSITIVE_INFINITY;

const BYTES: Readonly<Record<string, number>> = { K: 1024, M: 1024 ** 2, G: 1024 ** 3, '': 1 };

/** pm2's `300M`, in MiB. */
export function mebibytes(value: unknown): string | undefined {
  const [, number, unit = ''] = /^(\d+)([KMG]?)$/.exec(textOf(value) ?? '') ?? [];
  if (number === undefined) return undefined;
  const size = Math.max(1, Math.round((Number(number) * (BYTES[unit] ?? 1)) / 1024 ** 2));
  return size > MOST_MEMORY ? undefined : String(size);
}

export function secondsOf(milliseconds: unknown): string | undefined {
  const number = Number(milliseconds ?? Number.NaN);
  return number > 0 && number / 1000 <= MOST_SECONDS ? String(number / 1000) : undefined;
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

/**
 * Finds a value in the text of the file, which is code: its values have no places.
 * @param keys under which the value may be written
 * @returns where the value is written, or else the beginning of the file: code may have computed it
 */
export function placeOfValue(file: string, keys: readonly string[], value: string): Location {
  const text = readableText(file) ?? '';
  const literal = value.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  const [written] = keys.flatMap((key) => {
    const match = new RegExp(`(?<![\\w$])${key}['"]?[ \\t]*:[ \\t]*(['"\`]?)(?=${literal}(?!\\w))`).exec(text);
    return match ? match.index + match[0].length - (match[1]?.length ?? 0) : [];
  });
  const before = text.slice(0, written ?? Math.max(0, text.indexOf(value))).split('\n');
  return { file, line: before.length, column: (before.at(-1) ?? '').length + 1 };
}
