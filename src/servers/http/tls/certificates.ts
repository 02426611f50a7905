/**
 * The certificates of one server. They are replaced while it runs when their files change; if the new files cannot be used, as
 * between the writing of a certificate and of its key, the earlier certificate stays in use.
 */
import { stat } from 'node:fs/promises';
import type { SecureContext, TLSSocket, TlsOptions, Server as TlsServer } from 'node:tls';
import { errorCode, errorMessage, PasterError } from '../../../errors.ts';
import type { Logger } from '../../../log.ts';
import { expiryText, isExpiring } from '../../../metrics/certificates.ts';
import { meter } from '../../../metrics/meter.ts';
import type { CertificateReport } from '../../../metrics/server-status.ts';
import type { ServerWarning } from '../../../protocol/types.ts';
import type { HttpSettings } from '../settings.ts';
import { type Certificate, readAuthorities, readCertificate } from './certificate.ts';
import { certificateFiles, type PemFile } from './pem-files.ts';

/** How long new files may be unusable before that is logged: their writer may not have finished. */
const PATIENCE_MS = 5000;

export class Certificates {
  readonly #authorities: PemFile | undefined;
  readonly #requiresClient: boolean;
  readonly #servers = new Set<TlsServer>();
  /** In the order of the settings; the first one is the default. */
  #certificates: readonly Certificate[];
  #byName: ReadonlyMap<string, SecureContext>;
  /** When the files were first found unusable, in milliseconds of `performance.now()`. */
  #failedAt: number | undefined;
  #loggedFailure: string | undefined;
  /** The warnings of expiry that have been given, by `warningKey`. */
  readonly #warnedOf = new Set<string>();

  private constructor(certificates: readonly Certificate[], settings: HttpSettings) {
    const { ssl_client_ca: path, ssl_client_verify: verify } = settings;
    this.#authorities = path === undefined ? undefined : { setting: 'ssl_client_ca', path };
    this.#requiresClient = verify !== 'optional';
    this.#certificates = certificates;
    this.#byName = contextsByName(certificates);
  }

  /** Undefined: the settings name none. @throws ConfigError if one cannot be used. */
  static read(settings: HttpSettings): Certificates | undefined {
    const files = certificateFiles(settings);
    if (files.length === 0) return undefined;
    const { ssl_client_ca: path } = settings;
    const ca = path === undefined ? undefined : readAuthorities({ setting: 'ssl_client_ca', path });
    return new Certificates(
      files.map((each) => readCertificate(each, ca)),
      settings,
    );
  }

  /** Which of them have expired, or will soon. */
  warnings(now: number = Date.now()): ServerWarning[] {
    return this.#certificates
      .filter(({ expires }) => isExpiring(expires, now))
      .map(({ files: { cert }, title, expires }) => ({
        setting: cert.setting,
        message: `${cert.setting}: the certificate of ${title} in ${cert.path} ${expiryText(expires, now)}`,
      }));
  }

  /** Why a client was refused, if that is because of its certificate. */
  clientError(error: Error, { authorizationError }: TLSSocket): string | undefined {
    if (errorCode(error) === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') return 'it has no certificate';
    return authorizationError ? `its certificate is refused: ${String(authorizationError)}` : undefined;
  }

  /** A TLS server that always has the current certificates. */
  createServer(options: TlsOptions): TlsServer {
    const hasAuthorities = this.#authorities !== undefined;
    const server = process.getBuiltinModule('node:tls').createServer({
      ...options,
      ...this.#certificates[0]?.options,
      requestCert: hasAuthorities,
      rejectUnauthorized: hasAuthorities && this.#requiresClient,
      // Without a callback Node needs no turn of the event loop to choose.
      ...(this.#certificates.length > 1 ? { SNICallback: this.#choose } : {}),
    });
    this.#servers.add(server);
    return server;
  }

  /** For a name that is in none of them the default is used. */
  readonly #choose: NonNullable<TlsOptions['SNICallback']> = (servername, done) => {
    const name = servername.toLowerCase();
    done(
      null,
      this.#byName.get(name) ?? this.#byName.get(name.replace(/^[^.]+/, '*')) ?? this.#certificates[0]?.context,
    );
  };

  /**
   * Follows changes of the files, and counts the certificates among what this process reports.
   * @param log where changes and certificates that expire are reported
   * @returns a function that ends this
   */
  follow(log: Logger): () => void {
    for (const each of this.#certificates)
      if (isExpiring(each.expires, Date.now())) this.#warnedOf.add(warningKey(each));
    const paths = this.#certificates.flatMap(({ files: { cert, key } }) => [cert.path, key.path]);
    const poll = new FilePoll(this.#authorities ? [...paths, this.#authorities.path] : paths, () => this.#update(log));
    const expiry = setInterval(() => this.#warnOfExpiry(log), EXPIRY_CHECK_MS);
    expiry.unref();
    const reports = (): CertificateReport[] =>
      this.#certificates.map(({ title: name, expires }) => ({ name, expires }));
    meter().certificates.add(reports);
    return () => {
      poll.stop();
      clearInterval(expiry);
      meter().certificates.delete(reports);
    };
  }

  /** Reads the files again. @returns whether all of them could be used. */
  #update(log: Logger): boolean {
    const failures: string[] = [];
    const attempt = <T>(read: () => T, before: T): T => {
      try {
        return read();
      } catch (error) {
        failures.push(failureText(error));
        return before;
      }
    };
    const authorities = this.#authorities;
    const ca = authorities && attempt(() => readAuthorities(authorities), this.#certificates[0]?.options.ca);
    const updated = this.#certificates.map((each) => attempt(() => readCertificate(each.files, ca, each), each));
    const changed = updated.filter((each, index) => each !== this.#certificates[index]);
    if (changed.length > 0) this.#use(updated, changed, log);
    this.#noteFailures(failures, log);
    return failures.length === 0;
  }

  #use(updated: readonly Certificate[], changed: readonly Certificate[], log: Logger): void {
    this.#certificates = updated;
    this.#byName = contextsByName(updated);
    const [first] = updated;
    // Open connections keep theirs. TLS sessions from before cannot be resumed, so a client that is no longer trusted is refused.
    if (first) for (const server of this.#servers) server.setSecureContext(first.options);
    for (const { title, files, expires } of changed) {
      log.info(`TLS: new certificate of ${title} from ${files.cert.path}: it ${expiryText(expires)}`);
    }
    this.#warnOfExpiry(log);
  }

  /** Logs files that stay unusable, once for each reason. */
  #noteFailures(failures: readonly string[], log: Logger): void {
    if (failures.length === 0) {
      this.#failedAt = undefined;
      this.#loggedFailure = undefined;
      return;
    }
    this.#failedAt ??= performance.now();
    const failure = failures.join('; ');
    if (performance.now() - this.#failedAt < PATIENCE_MS || failure === this.#loggedFailure) return;
    this.#loggedFailure = failure;
    log.warn(`TLS: the files cannot be used, and the earlier certificates stay in use: ${failure}`);
  }

  #warnOfExpiry(log: Logger): void {
    for (const certificate of this.#certificates) {
      const { title, files, expires } = certificate;
      if (!isExpiring(expires, Date.now()) || this.#warnedOf.has(warningKey(certificate))) continue;
      this.#warnedOf.add(warningKey(certificate));
      log.warn(`TLS: the certificate of ${title} in ${files.cert.path} ${expiryText(expires)}`);
    }
  }
}

const EXPIRY_CHECK_MS = 3_600_000;

/** A warning is due once when a certificate is about to expire, and once when it has expired. */
function warningKey({ files, expires }: Certificate): string {
  return `${expires} ${expires <= Date.now()} ${files.cert.path}`;
}

function failureText(error: unknown): string {
  const hint = error instanceof PasterError && error.hint !== undefined ? ` (${error.hint})` : '';
  return `${errorMessage(error)}${hint}`;
}

/** The first certificate for a name counts. */
function contextsByName(certificates: readonly Certificate[]): Map<string, SecureContext> {
  const byName = new Map<string, SecureContext>();
  for (const { names, context } of certificates) {
    for (const name of names) if (!byName.has(name)) byName.set(name, context);
  }
  return byName;
}

const PERIOD_MS = 1000;
/** Files that have changed are read when they have stayed the same for this long: several may be written one after another. */
const SETTLED_MS = 250;

/**
 * Notices that files have changed, by checking each once a second: this costs a few system calls, works on every file system, and
 * notices a symbolic link on the path that leads elsewhere now, as with certbot and Kubernetes.
 */
class FilePoll {
  readonly #files: readonly string[];
  readonly #read: () => boolean;
  #timer: NodeJS.Timeout | undefined;
  #stamp: string | undefined;
  #isUnread = false;
  #isStopped = false;

  /** @param read called when the files have changed; false: it is called again until it returns true */
  constructor(files: readonly string[], read: () => boolean) {
    this.#files = [...new Set(files)];
    this.#read = read;
    this.#checkIn(PERIOD_MS);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #checkIn(milliseconds: number): void {
    this.#timer = setTimeout(() => void this.#check(), milliseconds);
    this.#timer.unref();
  }

  async #check(): Promise<void> {
    const stamp = (await Promise.all(this.#files.map(stampOf))).join('\n');
    if (this.#isStopped) return;
    const isNew = stamp !== this.#stamp;
    this.#stamp = stamp;
    if (isNew) this.#isUnread = true;
    else if (this.#isUnread) this.#isUnread = !this.#read();
    this.#checkIn(isNew ? SETTLED_MS : PERIOD_MS);
  }
}

/** Differs after every change of what is at the path; times alone could be those of an older file. */
async function stampOf(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (error) {
    return errorCode(error) ?? 'unknown';
  }
}
