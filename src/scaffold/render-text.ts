/**
 * The language of templates, a few words of Mustache: `{{name}}` is a variable's value; `{{#name}}...{{/name}}` stays if the
 * variable has a value, `{{#name=value}}...{{/name}}` if it has this one, and with `^` for `#` if not. A line that holds
 * one of these marks alone goes with it. Nothing is evaluated.
 */
import { ConfigError, type Location } from '../errors.ts';

/** Values by the names of variables. */
export type Variables = Readonly<Record<string, string>>;

/** What a template may ask for. */
export interface Values {
  /** The value of a variable; undefined if there is none of that name. */
  get(name: string): string | undefined;
  /** The names to tell somebody whose template asks for another. */
  readonly names: readonly string[];
}

// First a mark of a section that has its line for itself, then any mark. A colon is for `version:PACKAGE`.
const MARK =
  /^[ \t]*\{\{([#^/])\s*(\w+)(?:=([^}\n]*))?\s*\}\}[ \t]*\n|\{\{([#^/]?)\s*([\w:@/.-]+)(?:=([^}\n]*))?\s*\}\}/gm;

interface Section {
  readonly name: string;
  readonly shown: boolean;
  readonly offset: number;
}

/**
 * Fills in a template.
 *
 * @param file the template, for the places of mistakes
 * @param quote makes a value fit to stand in this kind of file
 * @throws ConfigError with the place of a variable that there is none of, or of a section that does not begin or end.
 */
export function renderText(template: string, file: string, values: Values, quote: (value: string) => string): string {
  const open: Section[] = [];
  let rendered = '';
  let end = 0;
  for (const match of template.matchAll(MARK)) {
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
      rendered += quote(values.get(name) ?? missing(name, values, place()));
    }
  }
  const left = open.pop();
  if (left) throw unbalanced(`{{#${left.name}}} has no {{/${left.name}}}`, locationAt(template, file, left.offset));
  return rendered + template.slice(end);
}

function holds(value: string | undefined, wanted: string | undefined): boolean {
  return wanted === undefined ? value !== undefined && value !== '' : value === wanted;
}

function missing(name: string, { names }: Values, location: Location): never {
  throw new ConfigError('PASTER_TEMPLATE_VARIABLE', `the template wants a variable "${name}"`, {
    location,
    hint: `there are: ${names.join(', ')}`,
  });
}

function unbalanced(message: string, location: Location): ConfigError {
  return new ConfigError('PASTER_TEMPLATE_SECTION', message, { location });
}

function locationAt(text: string, file: string, offset: number): Location {
  const before = text.slice(0, offset).split('\n');
  return { file, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
