/**
 * The arguments of this program. Node reads some of its own options wherever they are on its command line, so arguments
 * that may come from a client never get there: in a CGI program, bin/paster.js and `spawnSelf` pass them in variables.
 */
import { unescape as decode } from 'node:querystring';

/** As in bin/paster.js: the first argument is in PASTER_ARGUMENT_1. */
const PREFIX = 'PASTER_ARGUMENT_';

let ownArguments: readonly string[] = [];

/** What to use instead of an option that paster once had. */
export function optionHint(name: string): string | undefined {
  return name === 'env-file' ? '--env-file is an option of Node itself: use -e or --dotenv' : undefined;
}

/** Whether a web server has started this process for one request. */
export function isCgi(): boolean {
  return Boolean(process.env['GATEWAY_INTERFACE'] || process.env['REQUEST_METHOD']);
}

/** The arguments, from the command line or from variables. Removes the variables: child processes must not see them. */
export function takeArguments(): readonly string[] {
  const passed: string[] = [];
  for (;;) {
    const name = `${PREFIX}${passed.length + 1}`;
    const value = process.env[name];
    if (value === undefined) break;
    passed.push(value);
    delete process.env[name];
  }
  ownArguments = [...process.argv.slice(2), ...passed];
  return ownArguments;
}

/** How a child that runs the same command gets its arguments. */
export function argumentsForChild(): { readonly args: readonly string[]; readonly variables: NodeJS.ProcessEnv } {
  if (!isCgi()) return { args: ownArguments, variables: {} };
  return { args: [], variables: Object.fromEntries(ownArguments.map((value, i) => [`${PREFIX}${i + 1}`, value])) };
}

/**
 * Whether a CGI program's arguments end with the words of the client's query: a web server makes arguments of a query
 * without "=" (RFC 3875, section 4.4). It may leave out the last words of a long one.
 */
export function endsWithQuery(args: readonly string[]): boolean {
  const query = process.env['QUERY_STRING'] ?? '';
  if (!isCgi() || query === '' || query.includes('=')) return false;
  const words = query.split('+').map((word) => withoutEscapes(decode(word)));
  const given = args.map(withoutEscapes);
  return given.includes(words[0] ?? '') && words.includes(given.at(-1) ?? '');
}

/** Apache puts a backslash before what is special in a shell, and an argument ends at a zero byte. */
function withoutEscapes(word: string): string {
  return (word.split('\0')[0] ?? '').replaceAll('\\', '');
}
