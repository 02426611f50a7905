/** Plain values as YAML, for what `export kubernetes` writes: what could be read as anything but a text is quoted. */

export type YamlValue =
  | string
  | number
  | boolean
  | readonly YamlValue[]
  | { readonly [key: string]: YamlValue | undefined };

/** One document, without `---`. */
export function yamlText(value: YamlValue): string {
  return nested(value, '').replace(/^\n/, '');
}

/** A text that needs no quotes in YAML 1.1 and 1.2: no number, no `yes`, nothing that starts a structure. */
const PLAIN = /^[A-Za-z/][A-Za-z0-9/._-]*(?: [A-Za-z0-9/._-]+)*$/;
const WORDS = /^(?:true|false|yes|no|on|off|null|y|n)$/i;

/** The text after a key's colon or an item's dash: a scalar after a space, a structure on the next lines. */
function nested(value: YamlValue, indent: string): string {
  if (typeof value !== 'object') return scalar(value, indent);
  if (isList(value)) {
    if (value.length === 0) return ' []';
    return value.map((item) => `\n${indent}-${inItem(item, `${indent}  `)}`).join('');
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  if (members.length === 0) return ' {}';
  return members.map(([key, member]) => `\n${indent}${keyText(key)}:${nested(member ?? '', `${indent}  `)}`).join('');
}

/** A mapping begins on the line of its dash. */
function inItem(item: YamlValue, indent: string): string {
  return nested(item, indent).replace(`\n${indent}`, ' ');
}

function isList(value: object): value is readonly YamlValue[] {
  return Array.isArray(value);
}

function keyText(key: string): string {
  return PLAIN.test(key) && !WORDS.test(key) ? key : JSON.stringify(key);
}

function scalar(value: string | number | boolean, indent: string): string {
  if (typeof value !== 'string') return ` ${value}`;
  if (isBlock(value)) {
    // The indentation is given as 2, since the first line may itself begin with spaces.
    return ` |2${value.endsWith('\n') ? '' : '-'}\n${value.replace(/\n$/, '').replace(/^(?=.)/gm, indent)}`;
  }
  return ` ${PLAIN.test(value) && !WORDS.test(value) ? value : JSON.stringify(value)}`;
}

/** Whether a literal block keeps the text as it is. Any other text becomes a JSON string, which YAML reads too. */
function isBlock(value: string): boolean {
  return (
    value.includes('\n') && !/[^\n\x20-\x7e\u00a1-\u024f]/.test(value) && !/\n\n$/.test(value) && !/^\n/.test(value)
  );
}
