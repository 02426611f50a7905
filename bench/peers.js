/** paster beside other ways to run Node: node:cluster, pm2, Watt and a bare node. */
import { availableParallelism } from 'node:os';
import { freePort } from './measure/program.js';
import { median, roundsOf, spread, takeTurns } from './measure/rounds.js';
import { findPeers } from './peers/contestants.js';
import { life } from './peers/life.js';
import { inDirectory } from './process/site.js';

const ROUNDS = roundsOf(5);
const MIB = 2 ** 20;

/** What is compared: the text of the row, the figure of one life, its unit, and whether the figures are added up. */
const MEASURES = [
  { what: '10 reloads, new connections: failed requests', of: ({ failedNew }) => failedNew, unit: '', sum: true },
  { what: '10 reloads, kept connections: failed requests', of: ({ failedKept }) => failedKept, unit: '', sum: true },
  { what: 'fast requests beside slow ones: p95', of: ({ p95 }) => p95, unit: 'ms' },
  { what: 'fast requests beside slow ones: p99', of: ({ p99 }) => p99, unit: 'ms' },
  { what: 'CPU of a request on a new connection', of: ({ cpuNew }) => cpuNew, unit: 'us' },
  { what: 'CPU of a request on a kept connection', of: ({ cpuKept }) => cpuKept, unit: 'us' },
  { what: 'from the start to the first response', of: ({ start }) => start, unit: 'ms' },
  { what: 'memory of all processes (PSS)', of: ({ memory }) => memory / MIB, unit: 'MiB' },
  { what: 'from the crash of the only worker to the next response', of: ({ crash }) => crash, unit: 'ms' },
];

/** @returns {Promise<import('./report/table.js').Row[]>} */
export async function measure() {
  if (availableParallelism() < 2) {
    return [{ what: 'peers', figure: 'one processor', goal: '', met: undefined, detail: '' }];
  }
  return inDirectory({}, async (directory) => {
    const port = await freePort();
    const { peers, leftOut } = findPeers(directory, port);
    const turns = peers.map((peer) => [peer.name, () => life(peer, port)]);
    const found = await takeTurns(Object.fromEntries(turns), ROUNDS);
    return [
      ...MEASURES.flatMap((each) => rowsOf(each, found)),
      { what: 'left out', figure: leftOut.join(', ') || 'nothing', goal: '', met: undefined, detail: '' },
    ];
  });
}

function rowsOf({ what, of, unit, sum }, found) {
  return Object.entries(found).flatMap(([name, lives]) => {
    const figures = lives.map(of).filter((figure) => figure !== undefined);
    if (figures.length === 0) return [];
    const isPaster = name === 'paster';
    const total = figures.reduce((all, figure) => all + figure, 0);
    const value = sum ? total : median(figures);
    return [
      {
        what: `${isPaster ? '' : '  '}${name}: ${what}`,
        figure: `${sum ? value : value.toFixed(1)} ${unit}`.trim(),
        goal: sum && isPaster ? '0' : '',
        met: sum && isPaster ? total === 0 : undefined,
        detail: sum ? `of ${lives.reduce((all, { answered }) => all + (answered ?? 0), 0)}` : spread(figures, unit),
      },
    ];
  });
}
