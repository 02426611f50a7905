/**
 * The settings of a part as rows of a table: from paster's own declarations, or from the JSON Schema that a Standard Schema
 * can give (https://standardschema.dev/json-schema), as far as it fits a table.
 */
import { acceptedNames, type Declarations } from '../../config/settings/setting.ts';
import type { StandardSchema } from '../schema.ts';

/** A declared setting; `allowed` and `help` are empty if they are not declared. */
export interface PointSetting {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly allowed: string;
  readonly default: unknown;
  readonly required: boolean;
  readonly help: string;
  readonly example: string | undefined;
}

export function declaredSettings(declarations: Declarations): PointSetting[] {
  const accepted = [...acceptedNames(declarations)];
  return Object.entries(declarations).map(([name, setting]) => ({
    name,
    aliases: accepted.filter(([alias, own]) => own === name && alias !== name).map(([alias]) => alias),
    allowed: setting.type.allowed,
    default: setting.default,
    required: setting.required ?? false,
    help: setting.help,
    example: setting.example,
  }));
}

type Json = Readonly<Record<string, unknown>>;

/** @returns undefined unless the schema describes itself as an object with properties. */
export function jsonSchemaSettings(schema: StandardSchema): PointSetting[] | undefined {
  const described = jsonSchemaOf(schema);
  if (!isObject(described) || !isObject(described['properties'])) return undefined;
  const { properties, required } = described;
  return Object.entries(properties)
    .filter((property): property is [string, Json] => isObject(property[1]))
    .map(([name, property]) => ({
      name,
      aliases: [],
      allowed: allowedBy(property),
      default: property['default'],
      // Some libraries list settings with a default as required.
      required: Array.isArray(required) && required.includes(name) && property['default'] === undefined,
      help: typeof property['description'] === 'string' ? property['description'] : '',
      example: exampleOf(property),
    }));
}

/** Undefined if JSON Schema cannot express the schema. */
function jsonSchemaOf(schema: StandardSchema): unknown {
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
