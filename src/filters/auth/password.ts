/**
 * Hashed passwords as `htpasswd` and Node write them. bcrypt and scrypt are made to be slow to guess; apr1 and SHA are
 * here because files with them are. Comparisons take the same time wherever the first difference is.
 */
import { createHash, scrypt, timingSafeEqual } from 'node:crypto';

interface Scheme {
  readonly pattern: RegExp;
  /** @param hash of the pattern; the groups of its match */
  verify(password: string, hash: string, groups: readonly string[]): Promise<boolean>;
}

/** As PHC strings, unpadded base64: `$scrypt$ln=15,r=8,p=1$SALT$HASH`. */
const SCRYPT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z\d+/]{8,})\$([A-Za-z\d+/]{22,})$/;

const SCHEMES: readonly Scheme[] = [
  {
    pattern: /^\$2[aby]\$\d\d\$[./A-Za-z\d]{53}$/,
    async verify(password, hash) {
      const { default: bcrypt } = await import('bcryptjs');
      return bcrypt.compare(password, hash);
    },
  },
  {
    pattern: SCRYPT,
    verify: (password, _hash, [ln = '', r = '', p = '', salt = '', expected = '']) =>
      verifyScrypt(password, { ln: Number(ln), r: Number(r), p: Number(p) }, salt, expected),
  },
  {
    pattern: /^\$apr1\$[./A-Za-z\d]{1,8}\$[./A-Za-z\d]{22}$/,
    async verify(password, hash) {
      // Its declarations describe an ES module, which it is not.
      const { default: md5 } = (await import('apache-md5')) as unknown as {
        default: (text: string, salt: string) => string;
      };
      // It takes the characters of a text for bytes.
      return equalTexts(md5(Buffer.from(password).toString('latin1'), hash), hash);
    },
  },
  {
    pattern: /^\{SHA\}[A-Za-z\d+/]{27}=$/,
    verify: async (password, hash) => equalTexts(`{SHA}${createHash('sha1').update(password).digest('base64')}`, hash),
  },
];

/** What is understood, for messages. */
export const PASSWORD_HASHES =
  'bcrypt (htpasswd -B), scrypt ($scrypt$ln=...), apr1 (htpasswd -m) or {SHA} (htpasswd -s)';

export function isPasswordHash(text: string): boolean {
  return SCHEMES.some(({ pattern }) => pattern.test(text)) && isAffordable(text);
}

/** The parameters can ask for more memory and time than there is: here for 256 MiB, and a few seconds, at most. */
function isAffordable(hash: string): boolean {
  const scryptCost = SCRYPT.exec(hash)?.slice(1, 4).map(Number);
  if (scryptCost) {
    const [ln = 0, r = 0, p = 0] = scryptCost;
    return ln > 0 && r > 0 && p > 0 && p <= 16 && 128 * r * 2 ** ln <= 2 ** 28;
  }
  const rounds = /^\$2[aby]\$(\d\d)/.exec(hash)?.[1];
  return rounds === undefined || (Number(rounds) >= 4 && Number(rounds) <= 15);
}

/** Whether a password is the one that a hash was made of. */
export async function verifyPassword(password: string, hash: string): Promise<boolean> {
  for (const { pattern, verify } of SCHEMES) {
    const match = pattern.exec(hash);
    if (match) return verify(password, hash, match.slice(1));
  }
  return false;
}

interface ScryptCost {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

function verifyScrypt(password: string, { ln, r, p }: ScryptCost, salt: string, expected: string): Promise<boolean> {
  const hash = Buffer.from(expected, 'base64');
  const N = 2 ** ln;
  const options = { N, r, p, maxmem: 2 ** 29 };
  return new Promise((resolve, reject) => {
    scrypt(password, Buffer.from(salt, 'base64'), hash.length, options, (error, key) => {
      if (error) reject(error);
      else resolve(timingSafeEqual(key, hash));
    });
  });
}

/** Compares in a time that tells nothing of the texts but their lengths. */
export function equalTexts(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}
