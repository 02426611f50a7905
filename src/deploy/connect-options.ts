/** A section as the options object of a Connect middleware factory: what looks like a value becomes one. */
import { ConfigError, errorMessage } from '../errors.ts';
import type { FactoryContext } from './context.ts';

/** As JSON writes it. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const WHOLE = /^-?\d+$/;
const JSON_TEXT_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;

export function connectOptions(context: FactoryContext): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const [key, text] of Object.entries(context.localConf)) {
    const value = optionValue(key, text, context);
    // An ordinary object is what the factories expect; defining keeps a key such as __proto__ an own property.
    Object.defineProperty(options, key, { value, enumerable: true, writable: true, configurable: true });
  }
  return options;
}

function optionValue(key: string, text: string, context: FactoryContext): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  if (text === 'null') return null;
  // An account number of 20 digits is a text: as a number it would be another one.
  if (NUMBER.test(text)) return isHeld(text) ? Number(text) : text;
  if (!/^[[{]/.test(text)) return text;
  const wrong = (message: string, hint: string): ConfigError =>
    new ConfigError('PASTER_CONNECT_OPTION', `${key}: ${message}`, {
      location: context.origins.get(key)?.locate(0),
      hint,
    });
  const lost = text.match(JSON_TEXT_OR_NUMBER)?.find((token) => NUMBER.test(token) && !isHeld(token));
  if (lost !== undefined) throw wrong(`a number cannot hold ${lost}`, 'write it as a text, in quotes');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw wrong(`this is not JSON: ${errorMessage(error)}`, 'a value that begins with [ or { is read as JSON');
  }
}

/** Whether a number keeps what is written: all digits of a whole one, and it is not infinite. */
function isHeld(text: string): boolean {
  const number = Number(text);
  return WHOLE.test(text) ? Number.isSafeInteger(number) : Number.isFinite(number);
}
