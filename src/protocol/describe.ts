/** Says in words what a value is, for messages about a value of the wrong shape. */

export function describeValue(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'boolean' || typeof value === 'number') {
    return String(value);
  }
  if (typeof value === 'string')
    return `the text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value)}`;
  if (typeof value === 'function') {
    const name = value.name === '' ? 'a function' : `the function ${value.name}`;
    return `${name} of ${value.length} parameter${value.length === 1 ? '' : 's'}`;
  }
  if (typeof value !== 'object') return `a ${typeof value}`;
  if (value instanceof Promise) return 'a promise';
  const maker = Object.getPrototypeOf(value)?.constructor?.name ?? '';
  const keys = Object.keys(value).slice(0, 6);
  const kind = maker === '' || maker === 'Object' ? 'an object' : `an object of class ${maker}`;
  return keys.length === 0 ? `${kind} without properties` : `${kind} with ${keys.join(', ')}`;
}
