/** What a value of unknown kind is: its methods, its parameters, and in words. */

export function has(value: unknown, name: string): boolean {
  return typeof (value as Record<string, unknown>)[name] === 'function';
}

export function isObjectOrFunction(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

// --- parameters: handlers of the same length take different things, and only the names in their source tell them apart

/** The names in order; none for a bound or a native function, whose source Node does not show. */
export function parameterNames(value: unknown): readonly string[] {
  if (typeof value !== 'function') return [];
  const source = Function.prototype.toString.call(value);
  const open = source.indexOf('(');
  const arrow = source.indexOf('=>');
  // `request => ...` and `async request => ...`.
  if (arrow !== -1 && (open === -1 || arrow < open)) return names(source.slice(0, arrow).replace(/^async\s/, ''));
  return names(source.slice(open + 1, source.indexOf(')', open)));
}

function names(list: string): string[] {
  return list.split(',').flatMap((parameter) => /[\w$]+/.exec(parameter)?.[0] ?? []);
}

/** Whether a function is a class, which cannot be called. */
export function isClass(value: unknown): boolean {
  return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
}

// --- for messages

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
  const className = Object.getPrototypeOf(value)?.constructor?.name ?? '';
  const keys = Object.keys(value).slice(0, 6);
  const kind = className === '' || className === 'Object' ? 'an object' : `an object of class ${className}`;
  return keys.length === 0 ? `${kind} without properties` : `${kind} with ${keys.join(', ')}`;
}
