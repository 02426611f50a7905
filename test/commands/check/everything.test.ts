/** `paster check` on a file with every kind of error: the whole report, line by line. */
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';

const MODULE = `
export const make = () => (req, res) => res.end();
export const value = 42;
export const typed = () => (req, res) => res.end();
typed.settings = { '~standard': { version: 1, vendor: 'test', validate: () =>
  ({ issues: [{ message: 'must be 1', path: ['size'] }] }) } };
`;

const EVERYTHING = `[DEFAULT]
debug = true
base = %(oops)s

[composite:main]
use = egg:Paste#urlmap
/ = wellcome
/env = env
/pipe = pipe
/typed = typed
/throws = throws
bad key = x
filter-with = absent

[app:env]
use = npm:paster#test
formt = json
format = yaml
debug = false
other = %(base)s/x

[app:welcome]
use = npm:paster#welcome

[pipeline:pipe]
pipeline = log nolog env
extra = 1
more = 2

[filter:log]
use = npm:paster#translogger
setup_console_handler = maybe

[filter:other]
use = npm:paster#transloger

[app:typed]
use = call:./app.mjs:typed
size = 2

[app:throws]
use = module:./throws.mjs

[app:a]
use = b
[app:b]
use = a
[app:none]
x = 1
[app:export]
paste.app_factory = ./app.mjs:mak
[app:value]
use = call:./app.mjs:value
[aap:slip]
use = env
[app:requiring]
require = nothere alsonot
use = call:./gone.mjs:x
[app:used]
use = missing
get y = nothing
z = 5%

[loggers]
keys = %(nope)s

[server:main]
use = egg:Paste#http
prot = 8080
port = 80a
use_threadpool = true
[server:two]
use = npm:paster#http
socket = x
port = 1
[server:three]
use = npm:paster#htp
`;

const pipelineHint =
  '(only pipeline, filter-with and set ... are allowed here; settings of a filter go into its own section)';

test('a file with every kind of error: each is reported once, in the order of lines', async () => {
  const directory = temporaryDirectory({
    'x.ini': EVERYTHING,
    'app.mjs': MODULE,
    'throws.mjs': 'throw new Error("at import");',
  });
  const { stdout, stderr, status } = await runHere(['check', 'x.ini'], { cwd: directory });
  expect(stdout.replaceAll(directory, '$DIR').split('\n')).toEqual([
    'throws.mjs:1:7: [app:throws] Error: at import',
    'x.ini:3:8: [DEFAULT] base: %(oops)s is not defined',
    'x.ini:7:5: there is no section [app:wellcome] (did you mean [app:welcome]?)',
    'x.ini:12:1: [composite:main] unknown setting "bad key" (known settings: not_found_app; or /prefix, or domain NAME [port N] /prefix, and an application)',
    'x.ini:13:15: there is no section [filter:absent] (there are: [filter:log], [filter:other])',
    'x.ini:17:1: [app:env] unknown setting "formt" (did you mean "format"?)',
    'x.ini:18:1: [app:env] format: "yaml" is not an allowed value (allowed: auto, html, json, text)',
    'x.ini:19:1: warning: [app:env] debug is also a global ([DEFAULT] or the command line), so this line has no effect on the part: write "set debug = ..."',
    'x.ini:22:1: warning: [app:welcome] is not used: nothing refers to it',
    'x.ini:26:12: there is no section [filter:nolog] (did you mean [filter:log]?)',
    `x.ini:27:1: [pipeline:pipe] a pipeline has no setting "extra" ${pipelineHint}`,
    `x.ini:28:1: [pipeline:pipe] a pipeline has no setting "more" ${pipelineHint}`,
    'x.ini:32:1: [filter:log] setup_console_handler: "maybe" is not true or false (allowed: true or false)',
    'x.ini:34:1: warning: [filter:other] is not used: nothing refers to it',
    'x.ini:35:7: [filter:other] the package "paster" has no filter "transloger" (did you mean "translogger"?)',
    'x.ini:39:1: [app:typed] size: must be 1',
    'x.ini:44:1: sections refer to each other in a cycle: [app:a] -> [app:b] -> [app:a]',
    'x.ini:44:1: warning: [app:a] is not used: nothing refers to it',
    'x.ini:48:1: [app:none] has neither "use" nor a factory (write use = npm:package#name, or paste.app_factory = ./module.js:factory)',
    'x.ini:48:1: warning: [app:none] is not used: nothing refers to it',
    'x.ini:50:1: warning: [app:export] is not used: nothing refers to it',
    'x.ini:51:21: [app:export] $DIR/app.mjs exports no "mak" (did you mean "make"?)',
    'x.ini:52:1: [app:value] call:./app.mjs:value is not a function but 42 (a paste.app_factory is called to make the app, or use module: if it is the application itself)',
    'x.ini:52:1: warning: [app:value] is not used: nothing refers to it',
    'x.ini:54:1: there is no kind of section "aap:" (rename [aap:slip] to [app:slip])',
    'x.ini:56:1: warning: [app:requiring] is not used: nothing refers to it',
    'x.ini:57:11: the package "nothere" is not installed for $DIR (check the spelling; package.json does not name it)',
    'x.ini:57:11: the package "alsonot" is not installed for $DIR (check the spelling; package.json does not name it)',
    'x.ini:58:7: [app:requiring] there is no module $DIR/gone.mjs',
    'x.ini:59:1: warning: [app:used] is not used: nothing refers to it',
    'x.ini:60:7: there is no section [app:missing] (there are: [composite:main], [app:env], [app:welcome], [pipeline:pipe], [app:typed], [app:throws], [app:a], [app:b], [app:none], [app:export], [app:value], [app:requiring], [app:used])',
    'x.ini:61:9: [app:used] get y: there is no global "nothing" (there are: here, __file__, debug, base)',
    'x.ini:62:6: [app:used] z: a "%" must be followed by "%" or "(name)s" (write "%%" for a percent sign)',
    'x.ini:64:1: [loggers] there is no section [formatters] (write [formatters] with keys = ...)',
    'x.ini:64:1: [loggers] there is no section [handlers] (write [handlers] with keys = ...)',
    'x.ini:65:8: [loggers] keys: %(nope)s is not defined',
    'x.ini:69:1: [server:main] unknown setting "prot" (did you mean "port"?)',
    'x.ini:70:1: [server:main] port: "80a" is not a whole number (allowed: a whole number from 0 to 65535)',
    'x.ini:71:1: warning: [server:main] use_threadpool has no effect: Node serves requests without a pool of threads',
    'x.ini:72:1: warning: [server:two] is not used: to serve it too, write serve = main, two in [paster]',
    'x.ini:75:1: [server:two] socket and port are mutually exclusive (keep one of them)',
    'x.ini:76:1: warning: [server:three] is not used: to serve it too, write serve = main, three in [paster]',
    'x.ini:77:7: [server:three] the package "paster" has no server "htp" (did you mean "http"?)',
    '',
  ]);
  expect(stderr).toBe('');
  expect(status).toBe(2);
});
