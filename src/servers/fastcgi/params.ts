/**
 * Makes the head of a request straight from its PARAMS: only what the head needs becomes text, the rest when the application
 * reads the environment.
 */
import type { EnvironPairs } from '../../gateway/environ.ts';
import {
  IGNORED,
  MAX_KEPT_NAME,
  type Meaning,
  meaningOf,
  type PairSource,
  type RequestHead,
  RequestHeadBuilder,
} from '../../gateway/request-head.ts';
import { MAX_VARIABLES } from '../gateway-settings.ts';
import { decodePairs, eachPair } from './records.ts';

/**
 * Names and meanings in the order of the previous request. A web server sends most variables with every request and in the
 * same order, and comparing a few bytes costs less than making a text of them and looking it up.
 */
const lastNames: Buffer[] = [];
const lastMeanings: Meaning[] = [];
const MAX_REMEMBERED = 64;

function meaningAt(position: number, bytes: Buffer, start: number, end: number): Meaning {
  const last = lastNames[position];
  if (last !== undefined && last.length === end - start) {
    let at = start;
    while (at < end && bytes[at] === last[at - start]) at++;
    if (at === end) return lastMeanings[position] as Meaning;
  }
  const name = bytes.toString('latin1', start, end);
  const meaning = meaningOf(name);
  if (position < MAX_REMEMBERED && position <= lastNames.length && name.length <= MAX_KEPT_NAME) {
    lastNames[position] = Buffer.from(name, 'latin1');
    lastMeanings[position] = meaning;
  }
  return meaning;
}

class LazyPairs implements PairSource {
  readonly #text: string;
  #pairs: EnvironPairs | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  get pairs(): EnvironPairs {
    this.#pairs ??= decodePairs(Buffer.from(this.#text, 'latin1'));
    return this.#pairs;
  }
}

/**
 * @param bytes may be reused after the call; PARAMS are the bytes from `start` to `end`.
 * @param mount see `readHead`.
 * @throws ProtocolError, BadEnviron
 */
export function readParams(bytes: Buffer, start: number, end: number, mount: string | undefined): RequestHead {
  // One call into native code for the whole block instead of one a value; the values are slices of this text.
  const text = bytes.toString('latin1', start, end);
  const builder = new RequestHeadBuilder(mount);
  eachPair(bytes, start, end, MAX_VARIABLES, (position, nameAt, valueAt, next) => {
    const meaning = meaningAt(position, bytes, nameAt, valueAt);
    if (meaning !== IGNORED) builder.add(meaning, text.substring(valueAt - start, next - start));
  });
  return builder.build(new LazyPairs(text));
}
