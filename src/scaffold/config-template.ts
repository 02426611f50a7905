/** The INI file that `paster make-config` writes: a package's own template, or one made of what the package declares. */
import type { Declarations, Setting } from '../config/setting.ts';
import { ConfigError } from '../errors.ts';
import type { Variables } from './render-text.ts';

/** `${name}` as in PasteScript's templates, `{{ name }}` as in those of `create`. */
const PLACEHOLDER = /\$\{(\w+)\}|\{\{\s*(\w+)\s*\}\}/g;

/**
 * Renders a package's template.
 * @throws ConfigError with the place of a variable that there is none of.
 */
export function renderConfig(template: string, file: string, variables: Variables): string {
  return template.replace(PLACEHOLDER, (_match, dollar: string | undefined, braces: string | undefined, at: number) => {
    const name = dollar ?? braces ?? '';
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    if (value !== undefined) return value;
    const before = template.slice(0, at).split('\n');
    throw new ConfigError('PASTER_TEMPLATE_VARIABLE', `the template wants a variable "${name}"`, {
      location: { file, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 },
      hint: `give ${name}=VALUE; there are: ${Object.keys(variables).join(', ')}`,
    });
  });
}

/** A configuration for an application without a template of its own. */
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

/** A required one is left to be filled in, and `check` will say so until it is. */
function settingLines([name, { default: standard, help, required }]: readonly [string, Setting]): string {
  const comment = help.split('\n').map((row) => `# ${row}\n`);
  const value = standard === undefined ? '' : ` ${String(standard)}`;
  return `${comment.join('')}${required ? '' : '# '}${name} =${value}\n`;
}
