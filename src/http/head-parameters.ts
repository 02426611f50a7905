/** What `writeHead` is given, in whichever of its forms. */
import type { OutgoingHttpHeader } from 'node:http';

/** Names and values, as they are written; a name may come twice. */
export type HeaderPairs = [name: string, value: OutgoingHttpHeader | undefined][];

/** The headers among the parameters after the status: an object, names and values in turn, or pairs of them. */
export function headersGiven(parameters: readonly unknown[]): HeaderPairs {
  const given = parameters.find((each) => typeof each === 'object' && each !== null) ?? {};
  if (!Array.isArray(given)) return Object.entries(given);
  if (given.every(Array.isArray)) return given as HeaderPairs;
  const pairs: HeaderPairs = [];
  for (let index = 0; index < given.length; index += 2) pairs.push([given[index], given[index + 1]]);
  return pairs;
}
