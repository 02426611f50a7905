/**
 * Renders templates in a part of Mustache: `{{name}}` is a variable's value; `{{#name}}...{{/name}}` is kept if the variable
 * has a value, `{{#name=value}}...{{/name}}` if it has this value, and with `^` instead of `#` if not. A line with nothing
 * but the tag of a section is removed. Nothing is evaluated.
 */

import type { Declarations, Setting } from '../config/settings/setting.ts';
import { ConfigError, type Location } from '../errors.ts';

/** Values by the names of variables. */
export type TemplateVariables = Readonly<Record<string, string>>;

/** The values that a template can insert. */
export interface TemplateValues {
  /** The value of a variable; undefined if there is none of that name. */
  get(name: string): string | undefined;
  /** The names to list if a template names another one. */
  readonly names: readonly string[];
}

// First the tag of a section alone on its line, then any tag. The colon is for `version:PACKAGE`.
const TAG =
  /^[ \t]*\{\{([#^/])\s*(\w+)(?:=([^}\n]*))?\s*\}\}[ \t]*\n|\{\{([#^/]?)\s*([\w:@/.-]+)(?:=([^}\n]*))?\s*\}\}/gm;

interface Section {
  readonly name: string;
  readonly shown: boolean;
  readonly offset: number;
}

/**
 * Renders a template.
 *
 * @param file the template, for the locations of errors
 * @param quote quotes a value for this kind of file
 * @throws ConfigError with the location of an unknown variable, or of a section that does not begin or end
 */
export function renderText(
  template: string,
  file: string,
  values: TemplateValues,
  quote: (value: string) => string,
): string {
  const open: Section[] = [];
  let rendered = '';
  let end = 0;
  for (const match of template.matchAll(TAG)) {
    const isShown = open.every(({ shown }) => shown);
    if (isShown) rendered += template.slice(end, match.index);
    end = match.index + match[0].length;
    const [kind = '', name = '', wanted] = match[1] === undefined ? match.slice(4) : match.slice(1);
    const place = (): Location => locationAt(template, file, match.index);
    if (kind === '/') {
      if (open.pop()?.name !== name) throw unbalanced(`{{/${name}}} ends no section of that name`, place());
    } else if (kind !== '') {
      open.push({ name, shown: holds(values.get(name), wanted) === (kind === '#'), offset: match.index });
    } else if (isShown) {
      const value = values.get(name);
      if (value === undefined) throw unknownVariable(name, `there are: ${values.names.join(', ')}`, place());
      rendered += quote(value);
    }
  }
  const left = open.pop();
  if (left) throw unbalanced(`{{#${left.name}}} has no {{/${left.name}}}`, locationAt(template, file, left.offset));
  return rendered + template.slice(end);
}

function holds(value: string | undefined, wanted: string | undefined): boolean {
  return wanted === undefined ? value !== undefined && value !== '' : value === wanted;
}

function unknownVariable(name: string, hint: string, location: Location): ConfigError {
  return new ConfigError('PASTER_TEMPLATE_VARIABLE', `the template needs a variable "${name}"`, { location, hint });
}

function unbalanced(message: string, location: Location): ConfigError {
  return new ConfigError('PASTER_TEMPLATE_SECTION', message, { location });
}

function locationAt(text: string, file: string, offset: number): Location {
  const before = text.slice(0, offset).split('\n');
  return { file, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

// --- make-config -----------------------------------------------------------------------------------------------------

/** `${name}` as in PasteScript's templates, `{{ name }}` as in those of `create`. */
const PLACEHOLDER = /\$\{(\w+)\}|\{\{\s*(\w+)\s*\}\}/g;

/**
 * Renders the INI file that a package has as a template for `make-config`.
 *
 * @throws ConfigError with the location of an unknown variable
 */
export function renderConfig(template: string, file: string, variables: TemplateVariables): string {
  return template.replace(PLACEHOLDER, (_match, dollar: string | undefined, braces: string | undefined, at: number) => {
    const name = dollar ?? braces ?? '';
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    if (value !== undefined) return value;
    throw unknownVariable(
      name,
      `give ${name}=VALUE; there are: ${Object.keys(variables).join(', ')}`,
      locationAt(template, file, at),
    );
  });
}

/** The INI file of `make-config` for a package without a template. */
export function standardConfig(uri: string, settings: Declarations): string {
  return `[DEFAULT]
debug = false

[app:main]
use = ${uri}
${Object.entries(settings).map(settingLines).join('')}
[server:main]
use = npm:paster#http
host = 127.0.0.1
port = 8080
`;
}

/** A required setting is left empty for the user, and `check` reports it until it has a value. */
function settingLines([name, { default: standard, help, required }]: readonly [string, Setting]): string {
  const comment = help.split('\n').map((row) => `# ${row}\n`);
  const value = standard === undefined ? '' : ` ${String(standard)}`;
  return `${comment.join('')}${required ? '' : '# '}${name} =${value}\n`;
}
