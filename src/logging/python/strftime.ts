/** `strftime` as in the C library, in the C locale, for the dates in log lines and in the names of rotated files. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

const DAY_MS = 86_400_000;

/** A local time or UTC, to be read with the UTC getters of `date`. */
interface DateFields {
  readonly date: Date;
  /** Minutes east of Greenwich. */
  readonly offset: number;
  readonly time: Date;
  readonly isUtc: boolean;
}

const DIRECTIVE = /%([_\-0^#]?)([a-zA-Z%+])/g;

/** Replaces each directive of `text`; anything that is not a directive stays as it is written. */
export function strftime(text: string, time: Date, isUtc = false): string {
  const offset = isUtc ? 0 : -time.getTimezoneOffset();
  const fields: DateFields = { date: new Date(time.getTime() + offset * 60_000), offset, time, isUtc };
  return expand(text, fields);
}

function expand(text: string, fields: DateFields): string {
  return text.replace(DIRECTIVE, (whole, flag: string, letter: string) => {
    const field = Object.hasOwn(FIELDS, letter) ? FIELDS[letter]?.(fields) : undefined;
    if (field === undefined) return whole;
    if (typeof field === 'string') return flag === '^' ? field.toUpperCase() : field;
    const [number, width, pad] = field;
    const fill = flag === '-' ? '' : flag === '_' ? ' ' : flag === '0' ? '0' : pad;
    return fill === '' ? String(number) : String(number).padStart(width, fill);
  });
}

/** A text, or a number with its width and its padding. */
type Field = string | readonly [number: number, width: number, pad: '0' | ' '];

const zeros = (number: number, width = 2): Field => [number, width, '0'];
const blanks = (number: number, width = 2): Field => [number, width, ' '];
const twelveHours = (hours: number): number => hours % 12 || 12;

/** The directives of glibc, which include those of POSIX. */
const FIELDS: Readonly<Record<string, (fields: DateFields) => Field>> = {
  '%': () => '%',
  a: ({ date }) => (DAYS[date.getUTCDay()] ?? '').slice(0, 3),
  A: ({ date }) => DAYS[date.getUTCDay()] ?? '',
  b: ({ date }) => (MONTHS[date.getUTCMonth()] ?? '').slice(0, 3),
  B: ({ date }) => MONTHS[date.getUTCMonth()] ?? '',
  c: (fields) => expand('%a %b %e %H:%M:%S %Y', fields),
  C: ({ date }) => zeros(Math.floor(date.getUTCFullYear() / 100)),
  d: ({ date }) => zeros(date.getUTCDate()),
  D: (fields) => expand('%m/%d/%y', fields),
  e: ({ date }) => blanks(date.getUTCDate()),
  F: (fields) => expand('%Y-%m-%d', fields),
  g: ({ date }) => zeros(isoWeek(date).year % 100),
  G: ({ date }) => String(isoWeek(date).year),
  h: (fields) => expand('%b', fields),
  H: ({ date }) => zeros(date.getUTCHours()),
  I: ({ date }) => zeros(twelveHours(date.getUTCHours())),
  j: ({ date }) => zeros(dayOfYear(date) + 1, 3),
  k: ({ date }) => blanks(date.getUTCHours()),
  l: ({ date }) => blanks(twelveHours(date.getUTCHours())),
  m: ({ date }) => zeros(date.getUTCMonth() + 1),
  M: ({ date }) => zeros(date.getUTCMinutes()),
  n: () => '\n',
  p: ({ date }) => (date.getUTCHours() < 12 ? 'AM' : 'PM'),
  P: ({ date }) => (date.getUTCHours() < 12 ? 'am' : 'pm'),
  r: (fields) => expand('%I:%M:%S %p', fields),
  R: (fields) => expand('%H:%M', fields),
  s: ({ time }) => String(Math.floor(time.getTime() / 1000)),
  S: ({ date }) => zeros(date.getUTCSeconds()),
  t: () => '\t',
  T: (fields) => expand('%H:%M:%S', fields),
  u: ({ date }) => String(date.getUTCDay() || 7),
  U: ({ date }) => zeros(Math.floor((dayOfYear(date) + 7 - date.getUTCDay()) / 7)),
  V: ({ date }) => zeros(isoWeek(date).week),
  w: ({ date }) => String(date.getUTCDay()),
  W: ({ date }) => zeros(Math.floor((dayOfYear(date) + 7 - ((date.getUTCDay() + 6) % 7)) / 7)),
  x: (fields) => expand('%m/%d/%y', fields),
  X: (fields) => expand('%H:%M:%S', fields),
  y: ({ date }) => zeros(date.getUTCFullYear() % 100),
  Y: ({ date }) => String(date.getUTCFullYear()),
  z: ({ offset }) => {
    const minutes = Math.abs(offset);
    const digits = String(Math.floor(minutes / 60) * 100 + (minutes % 60)).padStart(4, '0');
    return `${offset < 0 ? '-' : '+'}${digits}`;
  },
  Z: ({ time, isUtc }) => zoneName(time, isUtc),
};

function dayOfYear(date: Date): number {
  return Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / DAY_MS);
}

/** ISO 8601: a week belongs to the year of its Thursday. */
function isoWeek(date: Date): { readonly year: number; readonly week: number } {
  const thursday = new Date(date.getTime() + (4 - (date.getUTCDay() || 7)) * DAY_MS);
  return { year: thursday.getUTCFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 };
}

/** `UTC`, `CET`; `GMT+2` for the many zones that JavaScript has no short name for. */
function zoneName(time: Date, isUtc: boolean): string {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZoneName: 'short',
    ...(isUtc ? { timeZone: 'UTC' } : {}),
  }).formatToParts(time);
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
}
