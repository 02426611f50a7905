/**
 * What is nobody's business, by its name, and how the rest is shown without it. The one place that knows: what `config`
 * and `check` say, error pages, and the lines that paster logs of errors all ask here.
 */

/** Stands where a secret was. */
export const HIDDEN = '********';

/** Whatever bears such a name. */
const SECRET = [
  'pass(?:wd|word|phrase)',
  '(?:^|[_.-])(?:pass|pwd?)$',
  'secret|credential|token(?!iz)',
  '(?:^|[_.-])dsn(?:$|[_.-])',
  '(?:api|private|access|signing|encryption|master|session|cookie|auth|hmac|jwt|cipher)[_.-]?keys?(?:$|[_.-])',
  '(?:^|[_.-])authorization$',
];

/** Of a request, and of what a program is told by its environment, more is: better too much than too little. */
const SECRET_OF_A_REQUEST = [
  '(?:^|[_-])(?:pass|pwd?|auth|sid)(?:$|[_-])',
  'token|private|signature|dsn',
  'authoriz|authenticat|cookie|session|[cx]srf',
  'api[_-]?key',
];

const SECRET_SETTING = new RegExp(SECRET.join('|'), 'i');
const SECRET_NAME = new RegExp([...SECRET, ...SECRET_OF_A_REQUEST].join('|'), 'i');

/** Settings that say something about a secret and hold none: `max_tokens`, `password_file`, `token_header`. */
const ABOUT_A_SECRET = new RegExp(
  [
    '^(?:max|min|use|with|without|enable|disable|require|allow|show|hide|has|is|no|num)[_.-]',
    '[_.-](?:file|path|dir|directory|name|names|header|headers|field|param|parameter|type|algorithm|length|size|min|max' +
      '|timeout|ttl|lifetime|age|expiry|expires|days|hours|minutes|seconds|count|limit|required|enabled|url|uri)$',
  ].join('|'),
  'i',
);

/** Whether what has this name - a header, a variable, a parameter - is a secret. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** Paths and URLs, which are the keys of a URL map, and what copies a global: their values are names. */
const KEY_OF_A_NAME = /\/|^get\s/;

/** Whether a setting of this name holds a secret. `apiKey`, as options of middleware are written, is `api_key`. */
export function isSecretSetting(key: string): boolean {
  if (KEY_OF_A_NAME.test(key)) return false;
  const name = key.replace(/^set\s+/, '').replace(/([a-z\d])([A-Z])/g, '$1_$2');
  return SECRET_SETTING.test(name) && !ABOUT_A_SECRET.test(name);
}

/** A value as it may be shown: hidden by its name, or without the passwords that are written within it. */
export function shownValue(name: string, value: string): string {
  return isSecretName(name) ? HIDDEN : withoutCredentials(withoutSecretParameters(value));
}

/** Nothing that has only two values is a secret, such as `credentials = true` of `cors`. */
const NO_SECRET = /^(?:|true|false|yes|no|on|off)$/i;

/** The value of a setting, likewise. */
export function shownSetting(key: string, value: string, isSecret: boolean = isSecretSetting(key)): string {
  if (isSecret) return NO_SECRET.test(value) ? value : HIDDEN;
  return withoutLiterals(withoutCredentials(withoutParameters(value, isSecretSetting)), isSecretSetting);
}

// A user's name, a password - which may hold what belongs into no URL - up to the last @ before the host. A number that
// ends at a slash is a port. The bounds keep a text of megabytes from being gone over again and again.
const CREDENTIALS =
  /(\b[a-z][a-z\d+.-]{0,30}:\/\/[^\s:/@]{0,200}:)(?!\d{1,5}(?:[/?#,;\s"']|$))[^\s"'<>]{1,500}?@(?![^\s/"'<>,]{0,500}@)/gi;

/** `postgres://me:secret@host` without the secret. */
export function withoutCredentials(text: string): string {
  return text.includes('://') ? text.replace(CREDENTIALS, `$1${HIDDEN}@`) : text;
}

/** `/path?token=secret&page=2` without the secret. */
export function withoutSecretParameters(url: string): string {
  return withoutParameters(url, isSecretName);
}

function withoutParameters(url: string, isSecret: (name: string) => boolean): string {
  if (!url.includes('=')) return url;
  return url.replace(/([?&;\s]|^)([^?&;=\s]{1,200})=([^&;\s#]+)/g, (whole, start: string, name: string) =>
    isSecret(decoded(name)) ? `${start}${name}=${HIDDEN}` : whole,
  );
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

const LITERAL = /(?<![\w$-])([\w$-]{1,100})(["']?\s*[:=]\s*)(["'`])((?:\\.|(?!\3).)+)\3/g;

/** A line of code, or an object as JSON, without the texts that it gives to what has a secret's name. */
export function withoutSecretLiterals(code: string): string {
  return withoutLiterals(code, isSecretName);
}

function withoutLiterals(code: string, isSecret: (name: string) => boolean): string {
  if (!/["'`]/.test(code)) return code;
  return code.replace(LITERAL, (whole, name: string, equals: string, quote: string) =>
    isSecret(name) ? `${name}${equals}${quote}${HIDDEN}${quote}` : whole,
  );
}

/** A shorter one stands within too much else to be looked for. */
const SHORTEST_FOUND = 6;

/** The values of settings that are secret, to be looked for in other texts. */
export function secretsOf(...settings: readonly Readonly<Record<string, string | undefined>>[]): Set<string> {
  const secrets = new Set<string>();
  for (const [key, value = ''] of settings.flatMap((each) => Object.entries(each))) {
    if (value.length >= SHORTEST_FOUND && isSecretSetting(key)) secrets.add(value);
  }
  return secrets;
}

/** A text without these secrets, as they are or as a URL has them. */
export function concealed(text: string, secrets: Iterable<string>): string {
  let shown = text;
  // What holds another one goes first.
  for (const secret of [...secrets].sort((one, other) => other.length - one.length)) {
    if (secret === '') continue;
    shown = shown.replaceAll(secret, HIDDEN);
    // Whatever cannot be in a URL is not looked for there.
    if (!/\p{Cs}/u.test(secret)) shown = shown.replaceAll(encodeURIComponent(secret), HIDDEN);
  }
  return shown;
}
