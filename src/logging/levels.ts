/** Python's levels: names that INI files use, and the numbers that are compared. */

/** How much a record matters. */
export type Level = number;

export const DEBUG: Level = 10;
export const INFO: Level = 20;
export const WARNING: Level = 30;
export const ERROR: Level = 40;
export const CRITICAL: Level = 50;
/** As a logger's level: that of the nearest logger above which has one. */
export const NOTSET: Level = 0;

/** The names that `level = ` takes; upper case only, as in Python. */
export const LEVELS: ReadonlyMap<string, Level> = new Map([
  ['NOTSET', NOTSET],
  ['DEBUG', DEBUG],
  ['INFO', INFO],
  ['WARNING', WARNING],
  ['WARN', WARNING],
  ['ERROR', ERROR],
  ['CRITICAL', CRITICAL],
  ['FATAL', CRITICAL],
]);

const NAMES: ReadonlyMap<Level, string> = new Map([
  [NOTSET, 'NOTSET'],
  [DEBUG, 'DEBUG'],
  [INFO, 'INFO'],
  [WARNING, 'WARNING'],
  [ERROR, 'ERROR'],
  [CRITICAL, 'CRITICAL'],
]);

/** The name that a record shows: `WARNING`, never `WARN`; of a number between the levels, `Level 15`. */
export function levelName(level: Level): string {
  return NAMES.get(level) ?? `Level ${level}`;
}
