/** The processes: what a reload, a page that reloads, a HUP, a start and a second worker cost, and how connections spread over two. */
import { existsSync } from 'node:fs';
import { reloadingNest } from './process/nest.js';
import { reloadingPackages } from './process/packages.js';
import { reloading } from './process/reload.js';
import { repainting } from './process/repaint.js';
import { rolling } from './process/rolling.js';
import { starting } from './process/start.js';
import { balance } from './process/workers/balance.js';
import { demand } from './process/workers/demand.js';
import { scaling } from './process/workers/scaling.js';

/** @returns {Promise<import('./report/table.js').Row[]>} */
export async function measure() {
  if (!existsSync('/proc/self/schedstat')) {
    return [{ what: 'the processes', figure: 'no /proc', goal: '', met: undefined, detail: '' }];
  }
  return [
    ...(await reloading()),
    ...(await reloadingPackages()),
    ...(await reloadingNest()),
    ...(await repainting()),
    ...(await rolling()),
    ...(await starting()),
    ...(await scaling()),
    ...(await demand()),
    ...(await balance()),
  ];
}
