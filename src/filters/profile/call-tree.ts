/** A CPU profile, as the inspector gives it, as a tree of calls with their times. */
import type { Profiler } from 'node:inspector';

/** A function, as called by what is above it. Times are milliseconds. */
export interface Call {
  readonly name: string;
  /** A file's path or URL, or nothing for what is no JavaScript. */
  readonly file: string;
  readonly line: number;
  /** In the function itself. */
  readonly self: number;
  /** In the function and in what it calls. */
  readonly total: number;
  readonly calls: readonly Call[];
}

/** A function, wherever it is called from. */
export type Cost = Omit<Call, 'calls'>;

/** What is no work of the request's. */
const NOT_WORK: ReadonlySet<string> = new Set(['(idle)', '(program)']);

/** The calls at the top, those that take the longest first. */
export function callTree(profile: Profiler.Profile): Call[] {
  const { nodes, samples = [], timeDeltas = [] } = profile;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const self = new Map<number, number>();
  samples.forEach((id, index) => {
    // A delta is the time since the sample before: what ran then, ran for so long.
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

/** Functions by the time in themselves, the most expensive first. A function that calls itself counts once. */
export function costs(calls: readonly Call[]): Cost[] {
  const found = new Map<string, { -readonly [K in keyof Cost]: Cost[K] }>();
  const visit = (call: Call, above: ReadonlySet<string>): void => {
    const { calls: inner, ...cost } = call;
    const key = `${call.name} ${call.file}:${call.line}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { ...cost });
    else {
      known.self += cost.self;
      if (!above.has(key)) known.total += cost.total;
    }
    const below = new Set(above).add(key);
    for (const each of inner) visit(each, below);
  };
  for (const call of calls) visit(call, new Set());
  return [...found.values()].sort((one, other) => other.self - one.self);
}

function longestFirst(one: Call, other: Call): number {
  return other.total - one.total;
}
