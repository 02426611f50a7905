/** What Paste's distributions declare and paster has nothing for, and why. docs/paste.md has the same as a table. */

export interface LeftOut {
  /** As `egg:` writes them: `Paste#openid`. */
  readonly names: readonly string[];
  /** Why, as a clause that follows the name. */
  readonly reason: string;
  /** What does the same, as a sentence without a full stop. */
  readonly instead: string;
}

const AJP = ['ajp', 'ajp_fork', 'ajp_thread'];

export const PASTE_LEFT_OUT: readonly LeftOut[] = [
  {
    names: ['Paste#auth_tkt', 'Paste#auth_cookie'],
    reason: 'its cookie rests on MD5 or SHA-1 of a secret and an address',
    instead: 'npm:paster#session keeps who is logged in in a signed cookie',
  },
  {
    names: ['Paste#auth_form'],
    reason: 'it draws a login form and leaves the passwords to a Python function',
    instead: 'npm:paster#auth_basic or #auth_digest, or a form of the application’s own with npm:paster#session',
  },
  {
    names: ['Paste#auth_cas', 'Paste#openid'],
    reason: 'OpenID 1 and the first CAS are gone',
    instead: 'middleware for OpenID Connect, such as the npm package express-openid-connect, in a filter factory',
  },
  {
    names: ['Paste#flup_session'],
    reason: 'it is flup’s store of Python objects',
    instead: 'npm:paster#session, or connect:express-session',
  },
  {
    names: ['Paste#pkg_resources'],
    reason: 'it serves files from within Python eggs',
    instead: 'npm:paster#static with the directory of the package',
  },
  {
    names: ['Paste#urlparser'],
    reason: 'it imports Python modules by the path of the URL',
    instead: 'npm:paster#static for files, npm:paster#urlmap for applications, npm:paster#cgi_bin for programs',
  },
  {
    names: ['Paste#registry'],
    reason: 'it gives each thread its own objects, and Node has no threads of requests',
    instead: 'AsyncLocalStorage of node:async_hooks, in the application',
  },
  {
    names: ['Paste#wdg_validate'],
    reason: 'it runs a validator of HTML 4',
    instead: 'a validator such as the npm package html-validate in the tests of the application',
  },
  { names: ['Paste#pony'], reason: 'it is a pony', instead: 'nothing else is quite like it' },
  { names: ['Paste#cowbell'], reason: 'it is a cowbell', instead: 'more of it can be had nowhere' },
  {
    names: ['PasteDeploy#config', 'Paste#config'],
    reason: 'it puts the configuration into a variable of the thread',
    instead: 'factories are given it: (globalConf, localConf)',
  },
  {
    names: ['PasteScript#cherrypy', 'PasteScript#twisted', 'PasteScript#wsgiutils'],
    reason: 'it runs another Python server',
    instead: 'npm:paster#http',
  },
  {
    names: [...AJP.map((name) => `Flup#${name}`), 'PasteScript#flup_ajp_fork', 'PasteScript#flup_ajp_thread'],
    reason: 'AJP is Tomcat’s protocol, which hardly a web server speaks any more',
    instead: 'npm:paster#http, #fastcgi or #scgi',
  },
];

/** The entry for a name of Paste's, in whatever case its distribution is written. */
export function findLeftOut(distribution: string, name: string): LeftOut | undefined {
  const wanted = `${distribution.toLowerCase()}#${name}`;
  return PASTE_LEFT_OUT.find(({ names }) => names.some((each) => withLowerDistribution(each) === wanted));
}

function withLowerDistribution(name: string): string {
  return name.replace(/^[^#]*/, (distribution) => distribution.toLowerCase());
}
