/** The fields of a cron pattern, as croner reads them, for the calendars of systemd and Kubernetes. */

export interface CronFields {
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly months: readonly number[];
  /** Undefined: every year. */
  readonly years: readonly number[] | undefined;
  /** Undefined: every day of the month. */
  readonly days: MonthDays | undefined;
  /** Undefined: every day of the week. */
  readonly weekdays: readonly Weekdays[] | undefined;
  /** If both restrict the day: whether both must match. Otherwise one of them is enough. */
  readonly needsBoth: boolean;
}

interface MonthDays {
  readonly numbers: readonly number[];
  readonly hasLast: boolean;
}

/** Days of the week, 0 is Sunday: all of a month, or their first, second, ... or last one. */
interface Weekdays {
  readonly days: readonly number[];
  readonly nth: number | 'last' | undefined;
}

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const SECONDS: Field = { name: 'seconds', min: 0, max: 59 };
const MINUTES: Field = { name: 'minutes', min: 0, max: 59 };
const HOURS: Field = { name: 'hours', min: 0, max: 23 };
const DAYS: Field = { name: 'days of the month', min: 1, max: 31 };
const MONTHS: Field = {
  name: 'months',
  min: 1,
  max: 12,
  names: ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'],
};
const WEEKDAYS: Field = {
  name: 'days of the week',
  min: 0,
  max: 7,
  names: ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'],
};
const YEARS: Field = { name: 'years', min: 1, max: 9999 };

const NICKNAMES: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/**
 * @param pattern one that croner has accepted
 * @throws Error for what has no counterpart in other calendars
 */
export function cronFields(pattern: string): CronFields {
  const words = (NICKNAMES[pattern.toLowerCase()] ?? pattern).toUpperCase().replaceAll('?', '*').split(/\s+/);
  if (words.length < 5) throw new Error('it is not a pattern of five or six fields');
  if (words.length === 5) words.unshift('0');
  const [seconds = '', minutes = '', hours = '', days = '', months = '', weekdays = '', years = '*'] = words;
  const week = weekdays.replace(/^\+/, '');
  return {
    seconds: valuesOf(seconds, SECONDS),
    minutes: valuesOf(minutes, MINUTES),
    hours: valuesOf(hours, HOURS),
    months: valuesOf(months, MONTHS),
    years: years === '*' ? undefined : valuesOf(years, YEARS),
    days: days === '*' ? undefined : monthDays(days),
    weekdays: week === '*' ? undefined : weekdaysOf(week),
    needsBoth: week !== weekdays,
  };
}

function monthDays(text: string): MonthDays {
  if (text.includes('W')) throw new Error(`"${text}" means the weekday nearest to a day`);
  const items = text.split(',');
  const numbers = items.filter((item) => item !== 'L');
  return {
    numbers: numbers.length === 0 ? [] : valuesOf(numbers.join(','), DAYS),
    hasLast: numbers.length < items.length,
  };
}

/** `1-5,FRI#2,5#L`: one group for the plain days, and one for each item with `#` or `L`. */
function weekdaysOf(text: string): Weekdays[] {
  const plain: string[] = [];
  const groups: Weekdays[] = [];
  for (const item of text.split(',')) {
    const [, days = '', , nth] = /^(.*?)(#?(\d|L))?$/.exec(item.includes('#') || item.endsWith('L') ? item : '') ?? [];
    if (nth === undefined) plain.push(item);
    else groups.push({ days: weekdayValues(days), nth: nth === 'L' ? 'last' : Number(nth) });
  }
  return plain.length === 0 ? groups : [{ days: weekdayValues(plain.join(',')), nth: undefined }, ...groups];
}

function weekdayValues(text: string): number[] {
  const values = valuesOf(text.replace(/-SUN\b/g, '-7'), WEEKDAYS);
  return sorted(values.map((value) => value % 7));
}

/** The values of `*`, `1,2`, `1-5`, `*` and a step, `1-5/2`, or names. */
function valuesOf(text: string, field: Field): number[] {
  const values = text.split(',').flatMap((item) => {
    const [range = '', step = '1'] = item.split('/');
    // The sum of 0 and 7 would name Sunday twice.
    const max = field === WEEKDAYS && range === '*' ? 6 : field.max;
    const [from = '', to = from] = range === '*' ? [String(field.min), String(max)] : range.split('-');
    const [first, last, by] = [numberOf(from, field), numberOf(to, field), Number(step)];
    if (!(first <= last && by >= 1)) throw new Error(`"${text}" is not a range of ${field.name}`);
    return Array.from({ length: Math.floor((last - first) / by) + 1 }, (_, index) => first + index * by);
  });
  return sorted(values);
}

function numberOf(text: string, { names = [], name, min }: Field): number {
  const index = names.indexOf(text);
  if (index !== -1) return index + min;
  if (!/^\d+$/.test(text)) throw new Error(`"${text}" is not in ${name}`);
  return Number(text);
}

function sorted(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}
