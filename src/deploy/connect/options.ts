/** The settings of a section as the arguments of a Connect middleware factory: JSON-like texts become values. */
import { nearest } from '../../config/nearest.ts';
import { ConfigError, errorMessage } from '../../errors.ts';
import { withExpressFacade } from '../../protocol/express-facade.ts';
import {
  ERROR_MIDDLEWARE_HINT,
  isErrorMiddleware,
  type Middleware,
  middlewareFilter,
} from '../../protocol/middleware.ts';
import { describeValue } from '../../protocol/shapes/describe.ts';
import type { Filter } from '../../protocol/types.ts';
import { shownSetting } from '../../secrets.ts';
import type { FactoryContext } from '../context.ts';
import { CONNECT_PACKAGES, type ConnectPackage, type OptionKind } from './packages.ts';

/** As JSON writes it. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const WHOLE = /^-?\d+$/;
const JSON_TEXT_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;

/** Values that look like JavaScript. A path such as /srv/www/ is not taken for a regular expression. */
const CODE: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/^(?:async\s+)?(?:function\b[\s*]*[\w$]*\s*\(|\([\w$\s,{}=.]*\)\s*=>|[\w$]+\s*=>)/, 'a function'],
  [/^\/(?=.*[\\^$*+?|()[\]{}])(?:[^/\\\n]|\\.)+\/[dgimsuvy]*$/, 'a regular expression'],
  [/^new\s+[A-Z][\w$.]*\s*\(/, 'an object'],
];

const OWN_MODULE =
  'make the middleware in a module of your own, as a function of (globalConf, localConf): use = call:./middleware.js:make';

const UNKNOWN_PACKAGE: ConnectPackage = { options: {} };

/**
 * What the factory is called with: one object, or for some packages a text before it.
 * @throws ConfigError at the line of a setting that cannot be what the factory takes.
 */
function connectArguments(context: FactoryContext): readonly unknown[] {
  const known = packageOf(context);
  const { first, required } = known;
  if (required) requiredSetting(required, context);
  const options: Record<string, unknown> = {};
  for (const [key, text] of Object.entries(context.localConf)) {
    if (key === first?.name) continue;
    refuseMistyped(key, known, context);
    const value = optionValue(key, text, known, context);
    // An ordinary object is what the factories expect; defining keeps a key such as __proto__ an own property.
    Object.defineProperty(options, key, { value, enumerable: true, writable: true, configurable: true });
  }
  if (first === undefined) return [options];
  const value = requiredSetting(first, context);
  checkKind(value, first.kind, first.name, first.name, context);
  return [value, options];
}

/**
 * What the factory makes of a section's settings.
 * @throws ConfigError as `connectArguments`, and at the line of the setting that the factory's own error names.
 */
export async function makeMiddleware(
  make: (...args: readonly unknown[]) => unknown,
  context: FactoryContext,
): Promise<unknown> {
  const args = connectArguments(context);
  try {
    return await make(...args);
  } catch (error) {
    const keys = Object.keys(args.at(-1) as Record<string, unknown>);
    const key = optionNamedIn(errorMessage(error), keys, packageOf(context).otherNames);
    if (key === undefined) throw error;
    throw optionError(key, context, errorMessage(error), 'the package itself reports this');
  }
}

/** A filter of the middleware that the factory makes. @throws ConfigError as `makeMiddleware`, and if it made none */
export async function connectFilter(
  make: (...args: readonly unknown[]) => unknown,
  context: FactoryContext,
): Promise<Filter> {
  const middleware = await makeMiddleware(make, context);
  if (typeof middleware === 'function' && !isErrorMiddleware(middleware)) {
    return middlewareFilter(withExpressFacade(middleware as Middleware));
  }
  throw new ConfigError(
    'PASTER_NOT_MIDDLEWARE',
    `${context.target.description} made no middleware: ${describeValue(middleware)}`,
    {
      hint: isErrorMiddleware(middleware)
        ? ERROR_MIDDLEWARE_HINT
        : 'connect: expects a function of one options object that returns (req, res, next)',
    },
  );
}

/** The one option that a message is about; `contentSecurityPolicy` may be written `Content-Security-Policy` there. */
function optionNamedIn(
  message: string,
  keys: readonly string[],
  otherNames: ConnectPackage['otherNames'] = {},
): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z\d]+/g, '');
  const words = new Set(message.split(/[^\w$-]+/).map(plain));
  const named = keys.filter((key) => words.has(plain(key)) || words.has(plain(otherNames[key] ?? key)));
  return named.length === 1 ? named[0] : undefined;
}

/** Finds the errors that `makeMiddleware` would; calls the factory only if that has no effect but to check. */
export async function checkConnect(
  make: (...args: readonly unknown[]) => unknown,
  context: FactoryContext,
): Promise<void> {
  if (packageOf(context).validates) await makeMiddleware(make, context);
  else connectArguments(context);
}

/** An error about an option, at the line of its value. */
function optionError(key: string, { origins }: FactoryContext, message: string, hint: string): ConfigError {
  return new ConfigError('PASTER_CONNECT_OPTION', `${key}: ${message}`, {
    location: origins.get(key)?.locate(0),
    hint,
  });
}

/** Refuses a name that is nearly a known one. Any other unknown name may be of a later version of the package. */
function refuseMistyped(key: string, { first, options }: ConnectPackage, context: FactoryContext): void {
  const names = [...Object.keys(options), ...(first ? [first.name] : [])];
  if (names.includes(key)) return;
  const meant = nearest(key, names);
  if (meant === undefined) return;
  throw new ConfigError('PASTER_CONNECT_OPTION', `unknown option "${key}"`, {
    location: context.origins.get(key)?.location,
    hint: `did you mean "${meant}"?`,
  });
}

function checkKind(value: unknown, kind: OptionKind, path: string, key: string, context: FactoryContext): void {
  if (kind.accepts(value)) return;
  const shown = shownSetting(path, JSON.stringify(value));
  throw optionError(key, context, `${path} cannot be ${shown}`, `allowed: ${kind.allowed}`);
}

function packageOf({ target }: FactoryContext): ConnectPackage {
  const name = /^connect:([^#]*)(?:#default)?$/i.exec(target.description)?.[1] ?? '';
  return (Object.hasOwn(CONNECT_PACKAGES, name) ? CONNECT_PACKAGES[name] : undefined) ?? UNKNOWN_PACKAGE;
}

function requiredSetting(
  { name, help }: { readonly name: string; readonly help: string },
  { localConf, sections }: FactoryContext,
): string {
  const value = localConf[name];
  if (value !== undefined) return value;
  throw new ConfigError('PASTER_CONNECT_OPTION', `setting "${name}" is missing`, {
    location: sections[0]?.location,
    hint: help,
  });
}

function optionValue(key: string, text: string, known: ConnectPackage, context: FactoryContext): unknown {
  const kindOf = (path: string) => (Object.hasOwn(known.options, path) ? known.options[path] : undefined);
  const refuseUnwritable = (path: string): void => {
    const { allowed, isCode, instead = OWN_MODULE } = kindOf(path) ?? {};
    if (isCode) throw optionError(key, context, `${path} takes ${allowed}, which an INI file cannot hold`, instead);
  };
  refuseUnwritable(key);
  const value = parseValue(text, known.texts?.includes(key) ?? false, key, context);
  walk(value, key, (each, path) => {
    refuseUnwritable(path);
    const code = typeof each === 'string' ? CODE.find(([pattern]) => pattern.test(each))?.[1] : undefined;
    if (code !== undefined) {
      throw optionError(key, context, `${code} is code, which an INI file cannot hold`, OWN_MODULE);
    }
    const kind = kindOf(path);
    if (kind) checkKind(each, kind, path, key, context);
  });
  return value;
}

function parseValue(text: string, isText: boolean, key: string, context: FactoryContext): unknown {
  if (!/^[[{]/.test(text)) return isText ? text : scalar(text);
  const lost = text.match(JSON_TEXT_OR_NUMBER)?.find((token) => NUMBER.test(token) && !isExact(token));
  if (lost !== undefined) {
    throw optionError(key, context, `a number cannot hold ${lost}`, 'write it as a text, in quotes');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = `this is not JSON: ${errorMessage(error)}`;
    throw optionError(key, context, message, 'a value that begins with [ or { is read as JSON');
  }
}

function scalar(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  if (text === 'null') return null;
  // An account number of 20 digits stays a text: as a number it would be another one.
  return NUMBER.test(text) && isExact(text) ? Number(text) : text;
}

/** Visits a value and everything in it, each with its path. */
function walk(value: unknown, path: string, visit: (value: unknown, path: string) => void): void {
  visit(value, path);
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) walk(inner, `${path}.${name}`, visit);
}

/** Whether a JavaScript number keeps what is written: every digit of a whole number, and no overflow to infinity. */
function isExact(text: string): boolean {
  const number = Number(text);
  return WHOLE.test(text) ? Number.isSafeInteger(number) : Number.isFinite(number);
}
