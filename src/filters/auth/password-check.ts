/** Whether a name and a password belong together, without a slow hash for each request. */
import { createHmac, randomBytes } from 'node:crypto';
import { equalTexts, hashKind } from './password.ts';
import type { Verdict, VerifyPassword } from './password-pool.ts';
import type { UserList } from './user-list.ts';

/** How many users' right passwords are remembered, and for how long. */
const REMEMBERED = 1000;
const REMEMBERED_MS = 600_000;

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

interface Remembered {
  readonly digest: string;
  readonly until: number;
}

/**
 * Slow hashes are slow on purpose, and a browser sends the password with every request. So a right password is remembered
 * for a while, as a keyed digest that is worth nothing outside this process; a user whose hash changes is checked again.
 * Requests with the same credentials wait for one verdict.
 */
export class PasswordCheck {
  readonly #users: UserList<string>;
  readonly #verify: VerifyPassword;
  readonly #key = randomBytes(32);
  readonly #right = new Map<string, Remembered>();
  /** By digest. */
  readonly #pending = new Map<string, Promise<Verdict>>();

  constructor(users: UserList<string>, verify: VerifyPassword) {
    this.#users = users;
    this.#verify = verify;
  }

  async check(client: string, { user, password }: Credentials): Promise<Verdict> {
    const hash = this.#users.get(user);
    const digest = createHmac('sha256', this.#key).update(`${user}\0${hash}\0${password}`).digest('base64');
    const remembered = this.#right.get(user);
    if (remembered && remembered.until > Date.now() && equalTexts(remembered.digest, digest)) return 'right';
    let pending = this.#pending.get(digest);
    if (pending === undefined) {
      pending = this.#verify(client, { password, hash, decoys: this.#decoys(hash) });
      this.#pending.set(digest, pending);
      pending.finally(() => this.#pending.delete(digest)).catch(() => {});
    }
    const verdict = await pending;
    if (verdict === 'right') this.#remember(user, digest);
    return verdict;
  }

  /** With these, every user's password is the same work: one hash of each kind that is in the list. */
  #decoys(hash: string | undefined): string[] {
    const own = hash === undefined ? undefined : hashKind(hash);
    return [...this.#users.kinds].filter(([kind]) => kind !== own).map(([, decoy]) => decoy);
  }

  #remember(user: string, digest: string): void {
    if (this.#right.size >= REMEMBERED) this.#right.clear();
    this.#right.set(user, { digest, until: Date.now() + REMEMBERED_MS });
  }
}
