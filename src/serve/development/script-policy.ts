/** Whether the Content-Security-Policy of a page lets a script of its own server run and connect. */

/**
 * The nonce that the script needs, an empty text if it needs none; undefined if a policy forbids the script. Several policies apply
 * together. @see https://www.w3.org/TR/CSP3/
 */
export function nonceFor(headers: readonly string[]): string | undefined {
  let nonce = '';
  for (const policy of headers.flatMap((header) => header.split(','))) {
    const directives = directivesOf(policy);
    const own = (...names: string[]): string[] | undefined => {
      const name = names.find((each) => directives.has(each));
      return name === undefined ? undefined : directives.get(name);
    };
    if (directives.has('sandbox') && !own('sandbox')?.includes('allow-scripts')) return undefined;
    const connects = own('connect-src', 'default-src');
    if (connects && !allowsOwn(connects)) return undefined;
    const scripts = own('script-src-elem', 'script-src', 'default-src');
    if (!scripts) continue;
    const needed = scripts.map((source) => /^'nonce-(.+)'$/.exec(source)?.[1]).find((each) => each !== undefined);
    if (needed !== undefined && (nonce === '' || nonce === needed)) nonce = needed;
    else if (!allowsOwn(scripts) || scripts.includes("'strict-dynamic'")) return undefined;
  }
  return nonce;
}

function allowsOwn(sources: readonly string[]): boolean {
  return sources.some((source) => ["'self'", '*', 'http:', 'https:'].includes(source.toLowerCase()));
}

function directivesOf(policy: string): Map<string, string[]> {
  const directives = new Map<string, string[]>();
  for (const directive of policy.split(';')) {
    const [name = '', ...sources] = directive.trim().split(/\s+/);
    // The first of a name counts.
    if (!directives.has(name.toLowerCase())) directives.set(name.toLowerCase(), sources);
  }
  return directives;
}
