/** What is nobody's business, by its name, and how the rest is shown without it: for pages and lines that people read. */

/** Stands where a secret was. */
export const HIDDEN = '•••';

const SECRET_NAME = new RegExp(
  [
    'pass(?:wd|word|phrase)',
    '(?:^|[_-])(?:pass|pwd?|auth|sid)(?:$|[_-])',
    'secret|token|credential|private|signature|dsn',
    'authoriz|authenticat|cookie|session|[cx]srf',
    'api[_-]?key',
  ].join('|'),
  'i',
);

/** Whether what has this name - a header, a setting, a variable, a parameter - is a secret. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** A value as it may be shown: hidden by its name, or without the passwords that are written within it. */
export function shownValue(name: string, value: string): string {
  return isSecretName(name) ? HIDDEN : withoutCredentials(withoutSecretParameters(value));
}

/** `postgres://me:secret@host` without the secret. */
export function withoutCredentials(text: string): string {
  return text.replace(/(\b[a-z][a-z\d+.-]*:\/\/[^\s:/@]*:)[^\s/@]+(@)/gi, `$1${HIDDEN}$2`);
}

/** `/path?token=secret&page=2` without the secret. */
export function withoutSecretParameters(url: string): string {
  return url.replace(/([?&;]|^)([^?&;=\s]+)=([^&;\s#]+)/g, (whole, start: string, name: string) =>
    isSecretName(decoded(name)) ? `${start}${name}=${HIDDEN}` : whole,
  );
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

const LITERAL = /([\w$-]+)(["']?\s*[:=]\s*)(["'`])((?:\\.|(?!\3).)+)\3/g;

/** A line of code without the texts that it gives to what has a secret's name. */
export function withoutSecretLiterals(code: string): string {
  return code.replace(LITERAL, (whole, name: string, equals: string, quote: string) =>
    isSecretName(name) ? `${name}${equals}${quote}${HIDDEN}${quote}` : whole,
  );
}
