/** Settings of the number of workers that contradict each other: with a range, or flup's `minSpare`, `maxSpare` and `maxChildren`. */
import { ConfigError } from '../../errors.ts';
import { type FactoryContext, placeOfKey, sectionPlace, sectionPrefix } from '../context.ts';
import type { ProcessSettings } from './server-settings.ts';
import { isRange, upperBound, workerCountText } from './worker-count.ts';

type LimitKey = 'minSpare' | 'maxSpare' | 'maxChildren';

/** @throws ConfigError with the place of the first one */
export function checkWorkerLimits(settings: ProcessSettings, context: FactoryContext): void {
  const { workers, minSpare = 0, maxSpare = minSpare, maxChildren } = settings;
  const failure = (key: LimitKey, message: string, hint: string): ConfigError =>
    new ConfigError('PASTER_WORKER_LIMITS', `${sectionPrefix(context)}${message}`, {
      location: placeOfKey(context, key) ?? sectionPlace(context),
      hint,
    });
  if (minSpare > maxSpare) {
    const message = `minSpare = ${minSpare} is more than maxSpare = ${maxSpare}`;
    throw failure('minSpare', message, 'raise maxSpare, or lower minSpare');
  }
  if (maxChildren !== undefined && minSpare > maxChildren) {
    const message = `minSpare = ${minSpare} is more than maxChildren = ${maxChildren}`;
    throw failure('minSpare', message, 'raise maxChildren, or lower minSpare');
  }
  if (!isRange(workers)) return;
  const range = workerCountText(workers);
  if (maxChildren !== undefined && workers.min > maxChildren) {
    const message = `maxChildren = ${maxChildren} is less than the lower bound of workers = ${range}`;
    throw failure('maxChildren', message, `raise maxChildren to ${workers.min} or more, or lower the bound`);
  }
  const most = upperBound(workers);
  if (most !== undefined && minSpare > most) {
    const message = `minSpare = ${minSpare} is more than the upper bound of workers = ${range}`;
    throw failure('minSpare', message, 'raise the bound, or lower minSpare');
  }
  const spare: LimitKey | undefined = minSpare > 0 ? 'minSpare' : maxSpare > 0 ? 'maxSpare' : undefined;
  if (workers.min === 0 && spare !== undefined) {
    const message = `${spare} = ${settings[spare]} contradicts workers = ${range}, which ends all workers while the server is idle`;
    throw failure(spare, message, `leave out ${spare}, or write workers = 1-${workers.max}`);
  }
}
