/**
 * Environment variables that decide which code a program runs. A server that root starts for another user may get them from a
 * file that this user can write, so root's own processes, and what they start, must not have them.
 */

/** As in sudo's list of variables that it removes, with those of Node, OpenSSL, systemd and paster. */
const DECIDES_CODE =
  /^(?:LD_|DYLD_|NODE_|OPENSSL_|SSL_|GLIBC_|MALLOC_|BASH|PERL|PYTHON|RUBY|XDG_|DBUS_|LISTEN_|NOTIFY_|WATCHDOG_|PASTER_)|^(?:PATH|HOME|PWD|SHELL|SHELLOPTS|ENV|IFS|CDPATH|PS4|TMPDIR|TEMP|TMP|GCONV_PATH|GETCONF_DIR|LOCPATH|NLSPATH|TZDIR|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS|SSLKEYLOGFILE)$/;

/** Variables of Node that load nothing. */
const HARMLESS = new Set([
  'NODE_ENV',
  'NODE_DEBUG',
  'NODE_EXTRA_CA_CERTS',
  'NODE_NO_WARNINGS',
  'NODE_PENDING_DEPRECATION',
  'NODE_TLS_REJECT_UNAUTHORIZED',
]);

/** Options of Node that neither load code, nor open a port, nor write a file. */
const HARMLESS_OPTION =
  /^--(?:max-|stack-trace-limit|v8-pool-size|enable-source-maps|unhandled-rejections|dns-result-order|tls-(?:cipher-list|max-|min-)|secure-heap|use-(?:bundled|openssl|system)-ca$|(?:no-)?(?:warnings|deprecation|network-family-autoselection)|(?:pending|throw|trace)-(?:deprecation|warnings|uncaught)|disable-warning|insecure-http-parser|experimental-(?:strip|transform)-types$)/;

/** Variables that count only when a program starts. */
const READ_AT_START = /^(?:LD_\w+|NODE_OPTIONS|NODE_PATH)$/;

/** Whether a program that is started with the variable might run other code because of it. */
export function decidesCode(name: string, value: string): boolean {
  if (name === 'NODE_OPTIONS')
    return !value.split(/\s+/).every((word) => word === '' || HARMLESS_OPTION.test(word.replaceAll('_', '-')));
  return DECIDES_CODE.test(name) && !HARMLESS.has(name);
}

/** The names of those variables that a process which gets them after its start does not notice. */
export function tooLateAfterStart(variables: Readonly<Record<string, string>>): string[] {
  const names = Object.entries(variables).filter(
    ([name, value]) => READ_AT_START.test(name) && decidesCode(name, value),
  );
  return names.map(([name]) => name);
}
