/** The setting `workers`: how many processes serve, or between which bounds their number follows the load. */
import { int, type SettingType } from '../../config/settings/setting-types.ts';
import { MAX_WORKERS } from '../../machine/capacity.ts';

/** The number of workers follows the load between these bounds. */
export interface WorkerRange {
  readonly min: number;
  readonly max: number | 'auto';
}

export type WorkersSetting = number | 'auto' | WorkerRange;

export const processes = int({ min: 1, max: MAX_WORKERS });
const lowerBound = int({ min: 0, max: MAX_WORKERS });

export const workersSetting: SettingType<WorkersSetting> = {
  ...processes,
  allowed: `auto, ${processes.allowed}, or a range such as 1-8, 1-auto or 0-4`,
  parse(value) {
    const bounds = value.split('-').map((each) => each.trim());
    const [lower = '', upper] = bounds;
    if (bounds.every((bound) => /^0+$/.test(bound))) {
      throw new Error('0 is out of range; did you mean 0-1, which runs a worker only while there are connections?');
    }
    if (upper === undefined || bounds.length > 2 || lower === '') return numberOrAuto(value.trim());
    if (lower === 'auto') throw new Error('the lower bound of a range is a number');
    if (upper === '') throw new Error(`the range has no upper bound: did you mean ${lower}-auto?`);
    const min = lowerBound.parse(lower);
    const max = numberOrAuto(upper);
    if (max === 'auto' || min < max) return { min, max };
    if (min === max) return max;
    throw new Error(`the lower bound comes first: ${max}-${min}`);
  },
};

export function isRange(workers: WorkersSetting | undefined): workers is WorkerRange {
  return typeof workers === 'object';
}

/** As in the INI file. @param maxChildren as for `upperBound` */
export function workersSettingText(workers: WorkersSetting, maxChildren?: number): string {
  return isRange(workers) ? `${workers.min}-${upperBound(workers, maxChildren) ?? 'auto'}` : String(workers);
}

/**
 * The most workers that a setting names; undefined: as many as the machine allows.
 * @param maxChildren a lower upper bound of a range
 */
export function upperBound(workers: WorkersSetting, maxChildren = Number.POSITIVE_INFINITY): number | undefined {
  if (!isRange(workers)) return workers === 'auto' ? undefined : workers;
  return workers.max === 'auto' ? undefined : Math.min(workers.max, maxChildren);
}

function numberOrAuto(value: string): number | 'auto' {
  return value === 'auto' ? 'auto' : processes.parse(value);
}
