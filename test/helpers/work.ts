/** Counts how much work a function does, without measuring time: the code that it runs, and the characters and items that built-ins read. */
import { Session } from 'node:inspector';

type Callable = (this: unknown, ...args: unknown[]) => unknown;
/** The cost of a call; `self` is the object of the method. */
type Cost = (self: unknown, args: readonly unknown[], result: unknown) => number;

const sizeOf = (value: unknown): number =>
  typeof value === 'string' || Array.isArray(value) || value instanceof Uint8Array ? value.length : 1;
const ofSelf: Cost = (self) => sizeOf(self);
const ofResult: Cost = (_self, _args, result) => sizeOf(result);
const ofFirst: Cost = (_self, args) => sizeOf(args[0]);
/** From the start of the search to the match. */
const ofSearch: Cost = (self, args, result) => {
  const from = typeof args[1] === 'number' ? args[1] : 0;
  return (result === -1 ? sizeOf(self) : Number(result)) - from;
};
/** The length of the match; a failed search has read everything, unless it is for one position (as in `split`). */
const ofMatch: Cost = (self, args, result) => {
  const { sticky, global } = self as RegExp;
  if (Array.isArray(result) && (sticky || global)) return sizeOf(result[0]) + 1;
  return sticky ? 1 : sizeOf(args[0]);
};

const COSTS: readonly [owner: object, costs: Readonly<Record<string, Cost>>][] = [
  [
    String.prototype,
    {
      indexOf: ofSearch,
      lastIndexOf: ofSelf,
      includes: ofSelf,
      slice: ofResult,
      substring: ofResult,
      startsWith: ofFirst,
      endsWith: ofFirst,
      split: ofSelf,
      replace: ofSelf,
      replaceAll: ofSelf,
      toLowerCase: ofSelf,
      toUpperCase: ofSelf,
      trim: ofSelf,
    },
  ],
  [RegExp.prototype, { exec: ofMatch, test: ofFirst }],
  [Map.prototype, { get: ofFirst, has: ofFirst, set: ofFirst }],
  [Set.prototype, { has: ofFirst, add: ofFirst }],
  [
    Array.prototype,
    {
      includes: ofSelf,
      indexOf: ofSelf,
      lastIndexOf: ofSelf,
      join: ofSelf,
      splice: ofSelf,
      shift: ofSelf,
      slice: ofResult,
      concat: ofResult,
    },
  ],
  [Buffer, { concat: ofResult }],
  [globalThis, { decodeURIComponent: ofFirst }],
];

const session = new Session();
session.connect();
session.post('Profiler.enable');
// This comes first: only functions that are compiled from now on count their blocks.
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

/** How often blocks in src/ have run since the last call. */
function takeBlocks(): number {
  let blocks = 0;
  session.post('Profiler.takePreciseCoverage', (_error, { result }) => {
    for (const { url, functions } of result) {
      if (!url.includes('/src/')) continue;
      for (const { ranges } of functions) for (const { count } of ranges) blocks += count;
    }
  });
  return blocks;
}

/** @returns executions of blocks in src/ plus the cost of built-ins; the same for the same work. */
export function workOf(run: () => unknown): number {
  let builtins = 0;
  let isCounting = false;
  const restore = COSTS.flatMap(([owner, costs]) =>
    Object.entries(costs).map(([name, cost]) => {
      const descriptor = Object.getOwnPropertyDescriptor(owner, name) as PropertyDescriptor;
      const original = descriptor.value as Callable;
      const counted: Callable = function (...args) {
        const result = Reflect.apply(original, this, args);
        if (isCounting) builtins += cost(this, args, result);
        return result;
      };
      Object.defineProperty(owner, name, { ...descriptor, value: counted });
      return () => Object.defineProperty(owner, name, descriptor);
    }),
  );
  takeBlocks();
  try {
    isCounting = true;
    run();
  } finally {
    isCounting = false;
    for (const undo of restore) undo();
  }
  return takeBlocks() + builtins;
}
