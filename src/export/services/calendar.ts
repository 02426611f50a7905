/** The schedule of a task as other schedulers write it: `OnCalendar=` of systemd, `schedule` of a CronJob. */
import { type CronFields, cronFields } from './cron.ts';

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
/** systemd's week begins on Monday. */
const WEEK = [1, 2, 3, 4, 5, 6, 0];
const DAYS_OF_A_MONTH = 31;

/**
 * The values of `OnCalendar=`. If there are several, a run is due when one of them is: systemd has no "day of the month or day of the week".
 * @throws Error for what systemd has no syntax for
 */
export function calendarEvents(pattern: string, zone: string | undefined): string[] {
  const fields = cronFields(pattern);
  const { years, months, hours, minutes, seconds } = fields;
  const month = `${years ? ranges(years) : '*'}-${ranges(months, 12)}`;
  const time = [clock(hours, 24), clock(minutes, 60), clock(seconds, 60)].join(':');
  return dayEvents(fields).map(({ week, day }) =>
    [...(week === '' ? [] : [week]), `${month}${day}`, time, ...(zone === undefined ? [] : [zone])].join(' '),
  );
}

/** Days of the week, or any, and days of the month with the sign before them: `~` counts from the end. */
interface DayEvent {
  readonly week: string;
  readonly day: string;
}

function dayEvents({ days, weekdays, needsBoth }: CronFields): DayEvent[] {
  const byDate: string[] = [];
  if (days && days.numbers.length > 0) byDate.push(`-${ranges(days.numbers, DAYS_OF_A_MONTH)}`);
  if (days?.hasLast) byDate.push('~01');
  const dates = byDate.map((day) => ({ week: '', day }));
  const weeks = (weekdays ?? []).map(({ days: each, nth }) => ({ week: weekText(each), day: nthDays(nth) }));
  if (!days && !weekdays) return [{ week: '', day: '-*' }];
  if (!weekdays) return dates;
  if (!days) return weeks;
  if (!needsBoth) return [...dates, ...weeks];
  if (weekdays.some(({ nth }) => nth !== undefined))
    throw new Error('it needs a day of the month and a counted weekday');
  return weeks.flatMap(({ week }) => byDate.map((day) => ({ week, day })));
}

/** The days of a month among which a weekday is the first, second, ... or last one. */
function nthDays(nth: number | 'last' | undefined): string {
  if (nth === undefined) return '-*';
  if (nth === 'last') return '~07/1';
  return `-${nth * 7 - 6}..${Math.min(nth * 7, DAYS_OF_A_MONTH)}`;
}

function weekText(days: readonly number[]): string {
  const places = days.map((day) => WEEK.indexOf(day)).sort((a, b) => a - b);
  return runs(places)
    .map(([from, to]) => [from, to].map((place) => WEEKDAYS[WEEK[place] ?? 0]))
    .map(([from, to]) => (from === to ? from : `${from}..${to}`))
    .join(',');
}

/** @param count of the values that there are, from 0 */
function clock(values: readonly number[], count: number): string {
  const step = stepOf(values, count);
  return step === undefined ? ranges(values, count) : `00/${step}`;
}

/** The step of `0, 5, 10, ...` up to the count; undefined for other values. */
function stepOf(values: readonly number[], count: number): number | undefined {
  const [first, step = 0] = values;
  const isStepped = first === 0 && step > 1 && values.length === Math.ceil(count / step) && values.length > 2;
  return isStepped && values.every((value, index) => value === index * step) ? step : undefined;
}

/** @param count of the values that there are; all of them are `*` */
function ranges(values: readonly number[], count?: number): string {
  if (values.length === count) return '*';
  return runs(values)
    .map(([from, to]) => (from === to ? two(from) : `${two(from)}..${two(to)}`))
    .join(',');
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

/** Values in a row, as their first and last one. */
function runs(values: readonly number[]): [from: number, to: number][] {
  const found: [number, number][] = [];
  for (const value of values) {
    const last = found.at(-1);
    if (last && last[1] === value - 1) last[1] = value;
    else found.push([value, value]);
  }
  return found;
}

/**
 * The `schedule` of a CronJob: five fields.
 * @throws Error for what Kubernetes has no syntax for
 */
export function cronJobSchedule(pattern: string): string {
  const { seconds, minutes, hours, months, years, days, weekdays, needsBoth } = cronFields(pattern);
  if (seconds.length > 1 || seconds[0] !== 0) throw new Error('it has seconds');
  if (years) throw new Error('it has a year');
  if (days?.hasLast) throw new Error('it has the last day of the month');
  if (weekdays?.some(({ nth }) => nth !== undefined)) throw new Error('it counts the weekdays of a month');
  if (days && weekdays && needsBoth) throw new Error('both the day of the month and that of the week must match');
  const field = (values: readonly number[] | undefined, count: number) =>
    !values || values.length === count
      ? '*'
      : runs(values)
          .map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`))
          .join(',');
  const stepped = (values: readonly number[], count: number) => {
    const step = stepOf(values, count);
    return step === undefined ? field(values, count) : `*/${step}`;
  };
  const week = weekdays?.flatMap((group) => group.days);
  return [
    stepped(minutes, 60),
    stepped(hours, 24),
    // All days of the month, or of the week, together with some of the other, are every day: not the others alone.
    days && weekdays && days.numbers.length === DAYS_OF_A_MONTH ? '1-31' : field(days?.numbers, DAYS_OF_A_MONTH),
    field(months, 12),
    days && week?.length === 7 ? '0-6' : field(week, 7),
  ].join(' ');
}
