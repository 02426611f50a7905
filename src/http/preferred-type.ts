/** Which of several media types a client likes best (RFC 9110 section 12.5.1). */

const WEIGHT = /^\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*$/i;

/**
 * The type of `offered` that has the greatest weight; of several, the one that is named most clearly, then the first.
 * Without a header, and where nothing is accepted, the last: it is for whoever does not say what he is.
 */
export function preferredType<T extends string>(header: string | undefined, offered: readonly [...T[], T]): T {
  const last = offered[offered.length - 1] as T;
  const accepted = (header ?? '').split(',').map(parseRange);
  if (header === undefined || accepted.every(({ type }) => type === '*/*')) return last;
  const ranked = offered
    .map((type) => ({ type, ...rankOf(type, accepted) }))
    .filter(({ weight }) => weight > 0)
    .sort((one, other) => other.weight - one.weight || other.clearness - one.clearness);
  return ranked[0]?.type ?? last;
}

interface Range {
  readonly type: string;
  readonly weight: number;
}

function parseRange(text: string): Range {
  const [type = '', ...parameters] = text.split(';');
  const weight = parameters.map((parameter) => WEIGHT.exec(parameter)?.[1]).find((found) => found !== undefined);
  return { type: type.trim().toLowerCase(), weight: Number(weight ?? 1) };
}

/** The most specific range that covers a type decides. */
function rankOf(type: string, accepted: readonly Range[]): { weight: number; clearness: number } {
  const covering = ['*/*', `${type.slice(0, type.indexOf('/'))}/*`, type];
  for (let clearness = covering.length - 1; clearness >= 0; clearness--) {
    const found = accepted.find((range) => range.type === covering[clearness]);
    if (found) return { weight: found.weight, clearness };
  }
  return { weight: 0, clearness: 0 };
}
