/** Which content encodings a client takes, the ones it likes best first (RFC 9110 section 12.5.3). */

const WEIGHT = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i;

/**
 * Those of `offered` that the header accepts, by weight and then in the order offered. What the client likes less than
 * the content as it is, is left out; so is everything where the header is absent.
 */
export function acceptedEncodings<T extends string>(header: string | undefined, offered: readonly T[]): T[] {
  if (header === undefined) return [];
  const weights = new Map<string, number>();
  for (const item of header.split(',')) {
    const [coding = '', ...parameters] = item.split(';').map((part) => part.trim());
    const name = coding.toLowerCase();
    weights.set(name === 'x-gzip' ? 'gzip' : name, weightOf(parameters));
  }
  const asItIs = weights.get('identity') ?? 0;
  return offered
    .map((coding) => ({ coding, weight: weights.get(coding) ?? weights.get('*') ?? 0 }))
    .filter(({ weight }) => weight > 0 && weight >= asItIs)
    .sort((one, other) => other.weight - one.weight)
    .map(({ coding }) => coding);
}

/** A weight that cannot be read is 0: what is not understood is not relied on. */
function weightOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    if (/^q\s*=/i.test(parameter)) return Number(WEIGHT.exec(parameter)?.[1] ?? 0);
  }
  return 1;
}
