/** The calls of a profile as a tree, and what each function costs. */
import type { Profiler } from 'node:inspector';

/** A function, as called by its parent in the tree. Times are in milliseconds. */
export interface Call {
  readonly name: string;
  /** The path or URL of the file; empty for what is not JavaScript. */
  readonly file: string;
  readonly line: number;
  /** Time in the function itself. */
  readonly self: number;
  /** Time in the function and in what it calls. */
  readonly total: number;
  readonly calls: readonly Call[];
}

/** A function, from wherever it is called. */
export type FunctionCost = Omit<Call, 'calls'>;

/** Entries that are no work of the request. */
const NOT_WORK: ReadonlySet<string> = new Set(['(idle)', '(program)']);

/** The calls at the top of the tree, those that take the longest first. */
export function callTree(profile: Profiler.Profile): Call[] {
  const { nodes, samples = [], timeDeltas = [] } = profile;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const self = new Map<number, number>();
  samples.forEach((id, index) => {
    // A delta is the time since the previous sample, so a sample lasts until the next one's delta.
    self.set(id, (self.get(id) ?? 0) + Math.max(0, timeDeltas[index + 1] ?? 0) / 1000);
  });
  const callOf = (node: Profiler.ProfileNode): Call => {
    const calls = (node.children ?? []).flatMap((id) => byId.get(id) ?? []).map(callOf);
    const { functionName, url, lineNumber } = node.callFrame;
    const own = self.get(node.id) ?? 0;
    return {
      name: functionName || '(anonymous)',
      file: url,
      line: lineNumber + 1,
      self: own,
      total: calls.reduce((sum, { total }) => sum + total, own),
      calls: calls.sort(longestFirst),
    };
  };
  const [root] = nodes;
  if (root === undefined) return [];
  return callOf(root).calls.filter(({ name, total }) => !NOT_WORK.has(name) && total > 0);
}

/** Functions by the time in themselves, the most expensive first. Recursive calls do not count twice. */
export function functionCosts(calls: readonly Call[]): FunctionCost[] {
  const found = new Map<string, { -readonly [K in keyof FunctionCost]: FunctionCost[K] }>();
  const visit = (call: Call, callers: ReadonlySet<string>): void => {
    const { calls: inner, ...cost } = call;
    const key = `${call.name} ${call.file}:${call.line}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { ...cost });
    else {
      known.self += cost.self;
      if (!callers.has(key)) known.total += cost.total;
    }
    const below = new Set(callers).add(key);
    for (const each of inner) visit(each, below);
  };
  for (const call of calls) visit(call, new Set());
  return [...found.values()].sort((one, other) => other.self - one.self);
}

function longestFirst(one: Call, other: Call): number {
  return other.total - one.total;
}
