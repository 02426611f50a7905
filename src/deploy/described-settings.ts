/**
 * The settings of a part for people to read: as paster's own declarations have them, or as a JSON Schema does where a
 * Standard Schema gives one (https://standardschema.dev/json-schema). What of a schema has no place in a table is left out.
 */
import { acceptedNames, type Declarations } from '../config/setting.ts';
import type { StandardSchema } from './validate.ts';

/** A setting as its declaration has it; `allowed` and `help` are empty where that says nothing of it. */
export interface PointSetting {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly allowed: string;
  readonly default: unknown;
  readonly required: boolean;
  readonly help: string;
  readonly example: string | undefined;
}

export function settingsOf(declarations: Declarations): PointSetting[] {
  const aliases = [...acceptedNames(declarations)];
  return Object.entries(declarations).map(([name, setting]) => ({
    name,
    aliases: aliases.filter(([alias, of]) => of === name && alias !== name).map(([alias]) => alias),
    allowed: setting.type.allowed,
    default: setting.default,
    required: setting.required ?? false,
    help: setting.help,
    example: setting.example,
  }));
}

type Json = Readonly<Record<string, unknown>>;

/** @returns undefined where the schema does not describe itself, or is none of an object with properties. */
export function settingsOfJsonSchema(schema: StandardSchema): PointSetting[] | undefined {
  const described = describe(schema);
  if (!isObject(described) || !isObject(described['properties'])) return undefined;
  const { properties, required } = described;
  return Object.entries(properties)
    .filter((property): property is [string, Json] => isObject(property[1]))
    .map(([name, property]) => ({
      name,
      aliases: [],
      allowed: allowedBy(property),
      default: property['default'],
      // What has a default may be left out, whatever a library makes of that.
      required: Array.isArray(required) && required.includes(name) && property['default'] === undefined,
      help: typeof property['description'] === 'string' ? property['description'] : '',
      example: exampleOf(property),
    }));
}

/** Schemas may hold what JSON Schema has no words for. */
function describe(schema: StandardSchema): unknown {
  try {
    return schema['~standard'].jsonSchema?.input({ target: 'draft-2020-12' });
  } catch {
    return undefined;
  }
}

function allowedBy(property: Json): string {
  const { type, enum: words, const: only, pattern, minimum, maximum, minLength, maxLength, anyOf } = property;
  if (Array.isArray(words)) return words.map(String).join(', ');
  if (only !== undefined) return String(only);
  if (Array.isArray(anyOf)) return anyOf.filter(isObject).map(allowedBy).join(', or ');
  const types = (Array.isArray(type) ? type : [type]).filter((each) => typeof each === 'string');
  return [
    types.join(' or '),
    ...bound('from', minimum),
    ...bound('to', maximum),
    ...bound('of at least', minLength, 'characters'),
    ...bound('of at most', maxLength, 'characters'),
    ...(typeof pattern === 'string' ? [`that matches ${pattern}`] : []),
  ]
    .join(' ')
    .trim();
}

function bound(word: string, value: unknown, unit?: string): string[] {
  return typeof value === 'number' ? [word, String(value), ...(unit === undefined ? [] : [unit])] : [];
}

function exampleOf({ examples }: Json): string | undefined {
  const [first] = Array.isArray(examples) ? examples : [];
  return first === undefined ? undefined : String(first);
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
