/** The headers that `writeHead` is given: an object, a list, or pairs. */
import type { OutgoingHttpHeader, ServerResponse } from 'node:http';

/** Names and values, as they are written; a name may come twice. */
export type HeaderPairs = [name: string, value: OutgoingHttpHeader | undefined][];

/**
 * The parameters of `writeHead`, with all values of a name in one array. If a response has headers already, Node accepts no pairs,
 * and before Node 22 it keeps only the last value of a name that a list contains twice.
 */
export function asUniqueNames(parameters: readonly unknown[]): readonly unknown[] {
  if (!parameters.some(Array.isArray)) return parameters;
  const headers = new Map<string, HeaderPairs[number]>();
  for (const [name, value] of headersGiven(parameters)) {
    const before = headers.get(String(name).toLowerCase());
    headers.set(
      String(name).toLowerCase(),
      before ? [before[0], [before[1], value].flat() as string[]] : [name, value],
    );
  }
  return parameters.map((each) => (Array.isArray(each) ? [...headers.values()].flat() : each));
}

/** Lets the application pass lists and pairs to `writeHead` though a filter has set a header. */
export function takeLists(res: ServerResponse): void {
  const { writeHead } = res;
  const takeAny = (status: number, ...given: unknown[]): ServerResponse =>
    Reflect.apply(writeHead, res, [status, ...asUniqueNames(given)]);
  res.writeHead = takeAny as ServerResponse['writeHead'];
}

/** The headers among the parameters of `writeHead`: an object, names and values in turn, or pairs of them. */
export function headersGiven(parameters: readonly unknown[]): HeaderPairs {
  const given = parameters.find((each) => typeof each === 'object' && each !== null) ?? {};
  if (!Array.isArray(given)) return Object.entries(given);
  if (Array.isArray(given[0])) return given as HeaderPairs;
  const pairs: HeaderPairs = [];
  for (let index = 0; index < given.length; index += 2) pairs.push([given[index], given[index + 1]]);
  return pairs;
}
