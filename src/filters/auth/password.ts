/**
 * Hashed passwords as `htpasswd` and Node write them. bcrypt and scrypt make guessing slow; apr1 and SHA are supported
 * because existing files use them. Comparisons take the same time wherever the first difference is. Verifying a password
 * blocks the thread that does it: see `password-pool.ts`.
 */
import { createHash, scryptSync, timingSafeEqual } from 'node:crypto';

interface HashScheme {
  readonly name: string;
  readonly pattern: RegExp;
  /** The parameters that decide how much work a hash is. @param groups of the pattern's match */
  cost?(groups: readonly string[]): string;
  verify(password: string, hash: string, groups: readonly string[]): boolean | Promise<boolean>;
}

/** A PHC string with unpadded base64: `$scrypt$ln=15,r=8,p=1$SALT$HASH`. */
const SCRYPT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z\d+/]{8,})\$([A-Za-z\d+/]{22,})$/;

const HASH_SCHEMES: readonly HashScheme[] = [
  {
    name: 'bcrypt',
    pattern: /^\$2[aby]\$(\d\d)\$[./A-Za-z\d]{53}$/,
    cost: ([rounds = '']) => rounds,
    async verify(password, hash) {
      const { default: bcrypt } = await import('bcryptjs');
      return bcrypt.compareSync(password, hash);
    },
  },
  {
    name: 'scrypt',
    pattern: SCRYPT,
    cost: ([ln, r, p]) => `${ln},${r},${p}`,
    verify: (password, _hash, [ln = '', r = '', p = '', salt = '', expected = '']) =>
      verifyScrypt(password, { ln: Number(ln), r: Number(r), p: Number(p) }, salt, expected),
  },
  {
    name: 'apr1',
    pattern: /^\$apr1\$[./A-Za-z\d]{1,8}\$[./A-Za-z\d]{22}$/,
    async verify(password, hash) {
      // Its type declarations describe an ES module, but it is CommonJS.
      const { default: md5 } = (await import('apache-md5')) as unknown as {
        default: (text: string, salt: string) => string;
      };
      // It takes each character for a byte.
      return equalTexts(md5(Buffer.from(password).toString('latin1'), hash), hash);
    },
  },
  {
    name: 'SHA',
    pattern: /^\{SHA\}[A-Za-z\d+/]{27}=$/,
    verify: (password, hash) => equalTexts(`{SHA}${createHash('sha1').update(password).digest('base64')}`, hash),
  },
];

/** The supported hashes, for messages. */
export const PASSWORD_HASHES =
  'bcrypt (htpasswd -B), scrypt ($scrypt$ln=...), apr1 (htpasswd -m) or {SHA} (htpasswd -s)';

export function isPasswordHash(text: string): boolean {
  return HASH_SCHEMES.some(({ pattern }) => pattern.test(text)) && isAffordable(text);
}

/** Parameters can ask for more memory and time than there is; 256 MiB and a few seconds are allowed. */
function isAffordable(hash: string): boolean {
  const scryptCost = SCRYPT.exec(hash)?.slice(1, 4).map(Number);
  if (scryptCost) {
    const [ln = 0, r = 0, p = 0] = scryptCost;
    return ln > 0 && r > 0 && p > 0 && p <= 16 && 128 * r * 2 ** ln <= 2 ** 28;
  }
  const rounds = /^\$2[aby]\$(\d\d)/.exec(hash)?.[1];
  return rounds === undefined || (Number(rounds) >= 4 && Number(rounds) <= 15);
}

/** Two hashes of the same kind take the same work to verify. */
export function hashKind(hash: string): string {
  const [scheme, groups] = schemeOf(hash) ?? [];
  return `${scheme?.name} ${scheme?.cost?.(groups ?? []) ?? ''}`;
}

/** Whether a hash is that of the password. */
export async function verifyPassword(password: string, hash: string): Promise<boolean> {
  const [scheme, groups] = schemeOf(hash) ?? [];
  return (await scheme?.verify(password, hash, groups ?? [])) ?? false;
}

/** A password to verify. */
export interface PasswordJob {
  readonly password: string;
  /** The user's hash; undefined for an unknown user. */
  readonly hash: string | undefined;
  /** Other users' hashes that are computed too, so that the time tells neither who the user is nor whether the user exists. */
  readonly decoys: readonly string[];
}

/** Whether the password is right. Takes the same work either way. */
export async function verifyJob({ password, hash, decoys }: PasswordJob): Promise<boolean> {
  const isRight = hash !== undefined && (await verifyPassword(password, hash));
  for (const decoy of decoys) await verifyPassword(password, decoy);
  return isRight;
}

function schemeOf(hash: string): readonly [HashScheme, readonly string[]] | undefined {
  for (const scheme of HASH_SCHEMES) {
    const match = scheme.pattern.exec(hash);
    if (match) return [scheme, match.slice(1)];
  }
  return undefined;
}

interface ScryptCost {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

function verifyScrypt(password: string, { ln, r, p }: ScryptCost, salt: string, expected: string): boolean {
  const hash = Buffer.from(expected, 'base64');
  const options = { N: 2 ** ln, r, p, maxmem: 2 ** 29 };
  return timingSafeEqual(scryptSync(password, Buffer.from(salt, 'base64'), hash.length, options), hash);
}

/** Compares in a time that depends only on the lengths of the texts. */
export function equalTexts(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}
