/** The schedules of tasks as calendars of systemd and Kubernetes: the next times equal those of croner. */
import { execFileSync } from 'node:child_process';
import { Cron } from 'croner';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { calendarEvents, cronJobSchedule } from '../../src/export/services/calendar.ts';
import { requireProgram } from '../helpers/programs/program.ts';

const number = (min: number, max: number) => fc.integer({ min, max }).map(String);

/** A field of a pattern: a star, a value, a range, a step, or a list of them. */
function field(min: number, max: number): fc.Arbitrary<string> {
  const range = fc
    .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
    .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
  const step = fc.tuple(fc.oneof(fc.constant('*'), range), number(1, max)).map(([of, by]) => `${of}/${by}`);
  const item = fc.oneof(number(min, max), range, step);
  return fc.oneof(
    fc.constant('*'),
    fc.array(item, { minLength: 1, maxLength: 3 }).map((items) => items.join(',')),
  );
}

const weekday = fc.oneof(
  field(0, 7),
  fc.constantFrom('MON-FRI', 'sat,sun', '5#2', 'MON#1', '5#L', '1-2#3', 'FRI-SUN', '1,5#5', '?'),
);
const monthDay = fc.oneof(field(1, 28), fc.constantFrom('L', '1,L', '31', '15-31'));
const pattern = fc
  .tuple(
    fc.oneof(fc.constant(''), field(0, 59)),
    field(0, 59),
    field(0, 23),
    monthDay,
    fc.oneof(field(1, 12), fc.constantFrom('jan', 'MAR-MAY')),
    weekday,
    fc.boolean(),
  )
  .map(([seconds, minutes, hours, days, months, week, both]) =>
    [
      ...(seconds === '' ? [] : [seconds]),
      minutes,
      hours,
      days,
      months,
      `${both && week !== '?' ? '+' : ''}${week}`,
    ].join(' '),
  )
  // Such as February 31.
  .filter((text) => new Cron(text, { paused: true, timezone: 'UTC' }).nextRuns(4, new Date('2026-01-01')).length === 4);

/** The next times of croner, in seconds. */
function next(text: string, zone: string, after: Date): number[] {
  return new Cron(text, { paused: true, timezone: zone }).nextRuns(4, after).map((time) => time.getTime() / 1000);
}

describe.skipIf(requireProgram('systemd-analyze') === undefined)('systemd', () => {
  /** The next times of all events, in seconds. */
  function elapses(events: readonly string[], after: Date): number[] {
    const base = `@${after.getTime() / 1000}`;
    const text = execFileSync('systemd-analyze', ['calendar', `--base-time=${base}`, '--iterations=4', ...events], {
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC' },
    });
    const times = [...text.matchAll(/(?:Next elapse|Iter\. #\d+): \w+ (\S+ \S+) UTC/g)];
    return [...new Set(times.map(([, time]) => Date.parse(`${time?.replace(' ', 'T')}Z`) / 1000))]
      .sort((a, b) => a - b)
      .slice(0, 4);
  }

  test.each([
    ['0 3 * * *', ['*-*-* 03:00:00']],
    ['*/15 8-17 * * MON-FRI', ['Mon..Fri *-*-* 08..17:00/15:00']],
    ['30 0 4 1,15 * 5', ['*-*-01,15 04:00:30', 'Fri *-*-* 04:00:30']],
    ['0 0 L * *', ['*-*~01 00:00:00']],
    ['0 1 * * 5#L', ['Fri *-*~07/1 01:00:00']],
    ['@weekly', ['Sun *-*-* 00:00:00']],
    ['0 12 1 * +MON', ['Mon *-*-01 12:00:00']],
  ])('%s is due at the same times', (text, events) => {
    expect(calendarEvents(text, undefined)).toEqual(events);
    const after = new Date('2026-01-15T12:00:00Z');
    expect(elapses(events, after)).toEqual(next(text, 'UTC', after));
  });

  test('the time zone is part of the calendar', () => {
    const [event] = calendarEvents('0 3 * * *', 'Europe/Berlin');
    expect(event).toBe('*-*-* 03:00:00 Europe/Berlin');
    const after = new Date('2026-01-15T12:00:00Z');
    expect(elapses([event ?? ''], after)).toEqual(next('0 3 * * *', 'Europe/Berlin', after));
  });

  test.each([
    ['0 0 15W * *', '"15W" means the weekday nearest to a day'],
    ['0 0 LW * *', '"LW" means the weekday nearest to a day'],
    ['0 0 1-7 * +MON#1', 'it needs a day of the month and a counted weekday'],
    ['2026-12-24T12:00:00', 'it is not a pattern of five or six fields'],
  ])('%s has no counterpart: %s', (text, reason) => {
    expect(() => calendarEvents(text, undefined)).toThrow(reason);
  });

  test('any pattern is due at the same times', () => {
    fc.assert(
      fc.property(pattern, fc.integer({ min: 0, max: 3650 }), (text, days) => {
        const after = new Date(Date.UTC(2024, 0, 1) + days * 86_400_000);
        let events: string[];
        try {
          events = calendarEvents(text, 'UTC');
        } catch {
          expect(text).toMatch(/\+.*#/);
          return;
        }
        expect(elapses(events, after), events.join(' | ')).toEqual(next(text, 'UTC', after));
      }),
      { numRuns: 150 },
    );
  });
});

describe('Kubernetes', () => {
  test.each([
    ['0 3 * * *', '0 3 * * *'],
    ['*/15 8-17 * * MON-FRI', '*/15 8-17 * * 1-5'],
    ['0 5 4 1,15 * 7', '5 4 1,15 * 0'],
    ['0 0 */1 * 5', '0 0 1-31 * 5'],
    ['@daily', '0 0 * * *'],
  ])('%s has the same meaning in a CronJob', (text, schedule) => {
    expect(cronJobSchedule(text)).toBe(schedule);
  });

  test.each([
    ['30 0 3 * * *', 'it has seconds'],
    ['0 0 L * *', 'it has the last day of the month'],
    ['0 0 * * 5#2', 'it counts the weekdays of a month'],
    ['0 0 1 * +MON', 'both the day of the month and that of the week must match'],
    ['0 0 0 1 1 * 2027', 'it has a year'],
  ])('%s has no counterpart: %s', (text, reason) => {
    expect(() => cronJobSchedule(text)).toThrow(reason);
  });

  test('any pattern is due at the same times', () => {
    fc.assert(
      fc.property(pattern, fc.integer({ min: 0, max: 3650 }), (text, days) => {
        const after = new Date(Date.UTC(2024, 0, 1) + days * 86_400_000);
        let schedule: string;
        try {
          schedule = cronJobSchedule(text);
        } catch {
          // Six fields begin with the seconds.
          expect(text).toMatch(/^(?:\S+ ){5}\S+$|[L#+]/);
          return;
        }
        expect(schedule).toMatch(/^(?:[\d*,/-]+ ){4}[0-6*,-]+$/);
        expect(next(schedule, 'UTC', after)).toEqual(next(text, 'UTC', after));
      }),
    );
  });
});
