/** A section as the options object of a Connect middleware factory: what looks like a value becomes one. */
import { ConfigError, errorMessage } from '../errors.ts';
import type { FactoryContext } from './context.ts';

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/;

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
  if (NUMBER.test(text)) return Number(text);
  if (!/^[[{]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError('PASTER_CONNECT_OPTION', `${key}: this is not JSON: ${errorMessage(error)}`, {
      location: context.origins.get(key)?.locate(0),
      hint: 'a value that begins with [ or { is read as JSON',
    });
  }
}
