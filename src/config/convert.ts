/** Paste Deploy's converters from text (paste.deploy.converters). */

const TRUE = new Set(['true', 'yes', 'on', 'y', 't', '1']);
const FALSE = new Set(['false', 'no', 'off', 'n', 'f', '0']);

/**
 * A text as a boolean: `true yes on y t 1` and `false no off n f 0`, in any case.
 * @throws Error for anything else. As `paste.deploy.converters.asbool`.
 */
export function asBool(value: string | boolean): boolean {
  if (typeof value === 'boolean') return value;
  const word = value.trim().toLowerCase();
  if (TRUE.has(word)) return true;
  if (FALSE.has(word)) return false;
  throw new Error(`"${value}" is not true or false`);
}

/**
 * A text as a whole number.
 * @throws Error for anything else, and for numbers that a double cannot hold exactly. As `paste.deploy.converters.asint`.
 */
export function asInt(value: string | number): number {
  const number = typeof value === 'number' ? value : /^\s*[+-]?\d+\s*$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw new Error(`"${value}" is not a whole number`);
  return number;
}

/**
 * A text as a list: split at `separator` (default: runs of white space), each item trimmed unless `strip` is false.
 * As `paste.deploy.converters.aslist`.
 */
export function asList(value: string | readonly string[], separator?: string, strip: boolean = true): string[] {
  if (typeof value !== 'string') return [...value];
  if (separator === undefined) return value.split(/\s+/).filter((word) => word !== '');
  const items = value.split(separator);
  return strip ? items.map((item) => item.trim()) : items;
}
