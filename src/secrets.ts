/**
 * Decides which names and texts are secrets, and masks them: in what `config` and `check` show, on error pages, and in the
 * errors that paster logs. Texts can come from requests, so everything here takes time linear in its input.
 */

/** Replaces a secret. */
export const HIDDEN = '********';

/** Regular expressions for parts of the names of secrets. */
const SECRET = [
  'pass(?:wd|word|phrase)',
  '(?:^|[_.-])(?:pass|pwd?)$',
  'secret|credential|token(?!iz)',
  '(?:^|[_.-])dsn(?:$|[_.-])',
  '(?:api|private|access|signing|encryption|master|session|cookie|auth|hmac|jwt|cipher)[_.-]?keys?(?:$|[_.-])',
  '(?:^|[_.-])(?:authorization|creds?|jwt|hmac|bearer)$',
  '[_.-]auth$|^basicauth$',
  `(?<!(?:^|[_.-])(?:${[
    // The values of these are the paths of keys.
    'ssl|tls|server|client',
    'public|publishable|site|host',
    'primary|foreign|unique|composite|candidate|natural|surrogate|partition|sort|range|row|index|lookup|routing',
    'cache|group|object|map|dict|hash|storage|state|item|message|translation|i18n|lang|config|env|registry|xmlhttp',
    'hot|shortcut|short|arrow|modifier|shift|ctrl|alt|meta|enter|tab|any|by|per|of|first|last|next|default',
  ].join('|')}))[_.-]keys?$`,
];

/** In requests and environment variables more names count as secrets: masking too much is better than too little. */
const SECRET_OF_A_REQUEST = [
  '(?:^|[_-])(?:pass|pwd?|auth|sid)(?:$|[_-])',
  'token|private|signature|dsn',
  'authoriz|authenticat|cookie|session|[cx]srf',
  'api[_-]?key',
];

const SECRET_SETTING = new RegExp(SECRET.join('|'), 'i');
const SECRET_NAME = new RegExp([...SECRET, ...SECRET_OF_A_REQUEST].join('|'), 'i');

/** Settings about a secret that do not contain it: `max_tokens`, `password_file`, `token_header`. */
const ABOUT_A_SECRET = new RegExp(
  [
    '^(?:max|min|use|with|without|enable|disable|require|allow|show|hide|has|is|no|num)[_.-]',
    '[_.-](?:file|path|dir|directory|name|names|header|headers|field|param|parameter|type|algorithm|length|size|min|max' +
      '|timeout|ttl|lifetime|age|expiry|expires|days|hours|minutes|seconds|count|limit|required|enabled|url|uri)$',
  ].join('|'),
  'i',
);

/** Whether a header, a variable or a parameter of this name is a secret. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** Paths and URLs, which are keys of a URL map, and `get` copies of globals: their values are names. */
const KEY_OF_A_NAME = /\/|^get\s/;

/** Whether a setting of this name is a secret. `apiKey`, as options of middleware are written, counts as `api_key`. */
export function isSecretSetting(key: string): boolean {
  if (KEY_OF_A_NAME.test(key)) return false;
  const name = key.replace(/^set\s+/, '').replace(/([a-z\d])([A-Z])/g, '$1_$2');
  return SECRET_SETTING.test(name) && !ABOUT_A_SECRET.test(name);
}

/** A value as it may be shown: masked if its name is that of a secret, otherwise with the secrets in it masked. */
export function shownValue(name: string, value: string): string {
  return isSecretName(name) ? HIDDEN : withoutSecrets(withoutSecretParameters(value));
}

/** A boolean is not a secret, such as `credentials = true` of `cors`. */
const NO_SECRET = /^(?:|true|false|yes|no|on|off)$/i;

/** As `shownValue`, for a setting. */
export function shownSetting(key: string, value: string, isSecret: boolean = isSecretSetting(key)): string {
  if (isSecret) return NO_SECRET.test(value) ? value : HIDDEN;
  return withoutSecrets(withoutParameters(value, isSecretSetting));
}

/** Masks what is a secret by its shape, by the name in front of it, or as a part of a URL. Lines stay where they are. */
export function withoutSecrets(text: string): string {
  return withoutLiterals(withoutAssigned(withoutTokens(text)), isSecretSetting);
}

/** Masks what is a secret by its shape or as a part of a URL, in a text such as code. */
export function withoutTokens(text: string): string {
  return withoutCredentials(withoutShapes(text));
}

// --- by shape --------------------------------------------------------------------------------------------------------

/** Each matches a whole word, so that no part of a text is scanned from several starts. */
const TOKENS = new RegExp(
  `(?<![\\w-])(?:${[
    '(?:sk|rk)_(?:live|test)_[A-Za-z\\d]{8,}', // Stripe
    'whsec_[A-Za-z\\d+/]{16,}',
    'sk-(?:[a-z]+-)?[A-Za-z\\d_]{20,}[\\w-]*', // OpenAI, Anthropic
    'gh[opsur]_[A-Za-z\\d]{20,}|github_pat_\\w{20,}',
    'glpat-[\\w-]{16,}', // GitLab
    'xox[abeoprs]-[\\w-]{10,}|xapp-[\\w-]{10,}', // Slack
    'A(?:KI|SI)A[A-Z\\d]{16}', // AWS
    'AIza[\\w-]{30,}', // Google
    'npm_[A-Za-z\\d]{30,}',
    'SG\\.[\\w-]{16,}\\.[\\w-]{16,}', // SendGrid
    'eyJ[\\w-]{8,}\\.[\\w-]{4,}(?:\\.[\\w-]*){0,3}', // a JSON Web Token
  ].join('|')})`,
  'g',
);

/** Hashed passwords, as htpasswd and crypt write them. */
const HASHES = /\$(?:2[aby]\$\d\d|(?:apr1|scrypt|[156y])\$)[$./+=,A-Za-z\d]{20,}|\{SHA\}[A-Za-z\d+/]{27}=/g;

const PRIVATE_KEY =
  /-----BEGIN (?:[A-Z\d]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END (?:[A-Z\d]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----|$)/g;

const AUTHORIZATION = /\b(Bearer|Basic)( +)([\w.~+/-]{6,}=*)/gi;

function withoutShapes(text: string): string {
  const shown = text.includes('PRIVATE KEY-')
    ? text.replace(PRIVATE_KEY, (key) => HIDDEN + '\n'.repeat(key.split('\n').length - 1))
    : text;
  return shown
    .replace(AUTHORIZATION, (whole, scheme: string, space: string, credentials: string) =>
      isCredentials(scheme.toLowerCase(), credentials) ? scheme + space + HIDDEN : whole,
    )
    .replace(TOKENS, HIDDEN)
    .replace(HASHES, HIDDEN);
}

/** "Basic authentication" and "Bearer tokens" are plain English. */
function isCredentials(scheme: string, text: string): boolean {
  return scheme === 'basic' ? Buffer.from(text, 'base64').includes(':') : /\d/.test(text) || text.length > 24;
}

// --- in URLs ---------------------------------------------------------------------------------------------------------

// Both begin at the :// of a URL. The first one matches a user name and a password, which may contain characters that are
// not allowed in URLs, up to the last @ before the host. A number that ends at a slash is a port.
const PASSWORD_IN_URL =
  /(?<=[a-z\d+.-])(:\/\/[^\s:/@]{0,200}:)(?!\d{1,5}(?:[/?#,;\s"']|$))[^\s"'<>]{1,500}?(?=@(?![^\s/"'<>,]{0,500}@))/iy;
/** Without a password, or with a placeholder for it, the user name in an HTTP URL is a token. */
const TOKEN_IN_URL = /(?<=\bhttps?)(:\/\/)[^\s:/?#@"'<>]{1,500}(?=(?::(?:x-oauth-basic)?)?@)/iy;
const LONGEST_IN_URL = 720;

/** Masks the secret in `postgres://me:secret@host` and `https://token@host`. */
function withoutCredentials(text: string): string {
  let [shown, done, at] = ['', 0, -1];
  for (let url = text.indexOf('://'); url !== -1; url = text.indexOf('://', Math.max(done, url + 3))) {
    if (at < url) at = text.indexOf('@', url);
    if (at === -1) break;
    if (at > url + LONGEST_IN_URL) continue;
    const match = matchAt(TOKEN_IN_URL, text, url) ?? matchAt(PASSWORD_IN_URL, text, url);
    if (!match) continue;
    shown += `${text.slice(done, url)}${match[1]}${HIDDEN}`;
    done = url + match[0].length;
  }
  return shown + text.slice(done);
}

function matchAt(sticky: RegExp, text: string, index: number): RegExpExecArray | null {
  sticky.lastIndex = index;
  return sticky.exec(text);
}

// --- by the name before it -------------------------------------------------------------------------------------------

const NAME = /(?<![\w$.-])([\w$.-]{1,100})(: ?|=)/g;
const VALUE = /([^\s"'`,;&)}\]]+)(?=( ?[^\s,;&)}\]])?)/y;

/** Words about a secret in a message, instead of its value. */
const ABOUT_ITSELF =
  /^(?:required|missing|invalid|wrong|empty|unset|undefined|null|none|true|false|yes|no|on|off)\.?$/i;

/** Masks the secret in `password: secret`; "password: must be longer" is a sentence, `token.js:3:1` a location. */
function withoutAssigned(text: string): string {
  if (!/[:=]/.test(text)) return text;
  let [shown, done] = ['', 0];
  for (const { index, 0: start, 1: name = '', 2: equals } of text.matchAll(NAME)) {
    const after = index + start.length;
    // It is part of a value that is masked already.
    if (index < done || !isSecretSetting(name)) continue;
    const [, value, more] = matchAt(VALUE, text, after) ?? [];
    if (value === undefined || ABOUT_ITSELF.test(value)) continue;
    const isSentence = equals === ': ' && /^[a-z]+$/i.test(value) && more !== undefined;
    const isPlace = equals === ':' && /\.\w+$/.test(name) && /^\d+(?::\d*)?$/.test(value);
    if (isSentence || isPlace) continue;
    shown += `${text.slice(done, after)}${HIDDEN}`;
    done = after + value.length;
  }
  return shown + text.slice(done);
}

/** Masks the secret in `/path?token=secret&page=2`. */
export function withoutSecretParameters(url: string): string {
  return withoutTokens(withoutParameters(url, isSecretName));
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

/** Masks the strings that are assigned to the name of a secret in a line of code or in JSON. */
export function withoutSecretLiterals(code: string): string {
  return withoutLiterals(code, isSecretName);
}

function withoutLiterals(code: string, isSecret: (name: string) => boolean): string {
  if (!/["'`]/.test(code)) return code;
  return code.replace(LITERAL, (whole, name: string, equals: string, quote: string) =>
    isSecret(name) ? `${name}${equals}${quote}${HIDDEN}${quote}` : whole,
  );
}

/** A shorter secret occurs in too many other texts to be searched for. */
const SHORTEST_FOUND = 6;

/** The values of secret settings, to be searched for in other texts. */
export function secretsOf(...settings: readonly Readonly<Record<string, string | undefined>>[]): Set<string> {
  const secrets = new Set<string>();
  for (const [key, value = ''] of settings.flatMap((each) => Object.entries(each))) {
    if (value.length >= SHORTEST_FOUND && isSecretSetting(key)) secrets.add(value);
  }
  return secrets;
}

/** Masks these secrets in a text, as they are and in the encoding of URLs. */
export function concealed(text: string, secrets: Iterable<string>): string {
  let shown = text;
  // A secret that contains another one is replaced first.
  for (const secret of [...secrets].sort((one, other) => other.length - one.length)) {
    if (secret === '') continue;
    shown = shown.replaceAll(secret, HIDDEN);
    // A lone surrogate cannot be encoded for a URL.
    if (!/\p{Cs}/u.test(secret)) shown = shown.replaceAll(encodeURIComponent(secret), HIDDEN);
  }
  return shown;
}
