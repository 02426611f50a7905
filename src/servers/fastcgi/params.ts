/**
 * The head of a request straight from its PARAMS: only what the head is made of becomes text, the rest waits until
 * somebody asks for the environment.
 */
import type { EnvironPairs } from '../../gateway/environ.ts';
import { type EnvironTraits, HeadReader, type PairSource, type RequestHead } from '../../gateway/request-head.ts';
import { IGNORED, type Meaning, meaningOf } from '../../gateway/variables.ts';
import { MAX_VARIABLES } from '../gateway-settings.ts';
import { decodePairs, eachPair } from './records.ts';

/**
 * Names and meanings in the order of the request before. A web server sends its variables in an order of its own, most of
 * them with every request, and comparing a few bytes costs less than making a text of them and looking it up.
 */
const lastNames: Buffer[] = [];
const lastMeanings: Meaning[] = [];
const MAX_REMEMBERED = 64;
const MAX_KEPT_NAME = 64;

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

/** FastCGI says nothing of its own about the environment. */
const FASTCGI: EnvironTraits = {};

class Params implements PairSource {
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
 * @param bytes may be reused after the call; PARAMS are those from `start` to `end`.
 * @param mount as of `readHead`.
 * @throws ProtocolError, BadEnviron
 */
export function readParams(bytes: Buffer, start: number, end: number, mount: string | undefined): RequestHead {
  // One call into native code for the whole block instead of one a value; the values are slices of this text.
  const text = bytes.toString('latin1', start, end);
  const reader = new HeadReader(mount, FASTCGI);
  eachPair(bytes, start, end, MAX_VARIABLES, (position, nameAt, valueAt, next) => {
    const meaning = meaningAt(position, bytes, nameAt, valueAt);
    if (meaning !== IGNORED) reader.take(meaning, text.substring(valueAt - start, next - start));
  });
  return reader.head(new Params(text));
}
