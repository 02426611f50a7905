/** Negotiates the content encoding (RFC 9110 section 12.5.3). */

const WEIGHT = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i;

/**
 * The encodings of `offered` that the header accepts, by weight and then in the order offered. Those with less weight than
 * the unencoded content are left out. Without a header none is accepted.
 */
export function acceptedEncodings<T extends string>(header: string | undefined, offered: readonly T[]): T[] {
  if (header === undefined) return [];
  const weights = new Map<string, number>();
  for (const item of header.split(',')) {
    const [coding = '', ...parameters] = item.split(';').map((part) => part.trim());
    const name = coding.toLowerCase();
    weights.set(name === 'x-gzip' ? 'gzip' : name, weightOf(parameters));
  }
  const identity = weights.get('identity') ?? 0;
  return offered
    .map((coding) => ({ coding, weight: weights.get(coding) ?? weights.get('*') ?? 0 }))
    .filter(({ weight }) => weight > 0 && weight >= identity)
    .sort((one, other) => other.weight - one.weight)
    .map(({ coding }) => coding);
}

/** A malformed weight counts as 0. */
function weightOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    if (/^q\s*=/i.test(parameter)) return Number(WEIGHT.exec(parameter)?.[1] ?? 0);
  }
  return 1;
}
