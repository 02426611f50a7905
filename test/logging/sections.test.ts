/** Errors in the sections that configure logging: reported all at once, each at its place, with what was probably meant. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkFile } from '../../src/deploy/check/check.ts';
import { configureLogging } from '../../src/deploy/load.ts';
import { formatError } from '../../src/errors.ts';
import { hierarchy } from '../../src/logging/python/logger.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

const GOOD = `[loggers]
keys = root
[logger_root]
handlers = h
[handlers]
keys = h
[handler_h]
class = StreamHandler
formatter = f
args = (sys.stderr,)
[formatters]
keys = f
[formatter_f]
format = %(message)s
`;

/** The findings of `check` for a file: `line:column: ...`. */
async function findingsOf(text: string): Promise<string[]> {
  const directory = temporaryDirectory({ 'x.ini': text });
  const found = await checkFile(join(directory, 'x.ini'), {});
  return found.map(({ severity, error }) => {
    const line = formatError(error, directory).replace(/^x\.ini:/, '');
    return severity === 'warning' ? `warning ${line}` : line;
  });
}

test('a good file has no errors', async () => {
  expect(await findingsOf(GOOD)).toEqual([]);
});

test.each([
  ['keys = root\n', 'keys = \n', '2:7: [loggers] keys: root is missing among the keys (write keys = root, ...)'],
  ['keys = root\n', 'keys = root, shop\n', '2:14: [loggers] keys: there is no section [logger_shop]'],
  [
    'keys = root\n',
    'kyes = root\n',
    '1:1: [loggers] setting "keys" is missing (The loggers, separated by commas; root is one of them.)',
  ],
  [
    'handlers = h\n',
    'handlers = h, hh\n',
    '4:15: [logger_root] handlers: there is no handler "hh" among the keys of [handlers] (did you mean "h"?)',
  ],
  [
    'handlers = h\n',
    'level = info\nhandlers = h\n',
    '4:9: [logger_root] level: "info" is not an allowed value (did you mean "INFO"?) (allowed: NOTSET, DEBUG, INFO, WARNING, WARN, ERROR, CRITICAL, FATAL)',
  ],
  [
    'handlers = h\n',
    '',
    '3:1: [logger_root] setting "handlers" is missing (The names of its handlers, separated by commas; may be empty.)',
  ],
  ['[handlers]\nkeys = h\n', '[handlers]\nkeys = h, x\n', '6:11: [handlers] keys: there is no section [handler_x]'],
  [
    'class = StreamHandler',
    'class = StreamHandlr',
    '8:9: [handler_h] class: there is no handler StreamHandlr (did you mean "StreamHandler"?)',
  ],
  [
    'class = StreamHandler',
    'class = SMTPHandler',
    '8:9: [handler_h] class: there is no handler SMTPHandler (there are: StreamHandler, FileHandler, NullHandler, handlers.WatchedFileHandler, handlers.RotatingFileHandler, handlers.TimedRotatingFileHandler, handlers.SysLogHandler)',
  ],
  [
    'formatter = f',
    'formatter = g',
    '9:13: [handler_h] formatter: there is no formatter "g" among the keys of [formatters] (there are: f)',
  ],
  [
    '(sys.stderr,)',
    '(sys.stder,)',
    '10:9: [handler_h] args: StreamHandler: sys.stder is not a stream (there are: sys.stdout, sys.stderr)',
  ],
  [
    '(sys.stderr,)',
    '(sys.stderr)',
    '10:8: [handler_h] args: StreamHandler: args is sys.stderr, not a tuple (write a comma before the ")": (value,))',
  ],
  [
    '(sys.stderr,)',
    '(sys.stderr, 2)',
    '10:21: [handler_h] args: StreamHandler: it takes at most one argument (there are: stream)',
  ],
  ['(sys.stderr,)', '(open("x"),)', '10:9: [handler_h] args: open(...) is a call, not a literal value'],
  ['(sys.stderr,)', '(10 * 1024,)', '10:12: [handler_h] args: "*" is an expression, not a literal value'],
  ['(sys.stderr,)', '(sys.stderr', '10:8: [handler_h] args: the "(" is never closed'],
  [
    '(sys.stderr,)',
    '()\nkwargs = {"strem": None}',
    '11:11: [handler_h] kwargs: StreamHandler: it has no argument "strem" (did you mean "stream"?)',
  ],
  [
    'StreamHandler\nformatter = f\nargs = (sys.stderr,)',
    'FileHandler\nformatter = f\nargs = ("x.log", "q")',
    '10:18: [handler_h] args: FileHandler: "q" is not a mode for a log file (there are: "a" to append, "w" to overwrite)',
  ],
  [
    'StreamHandler\nformatter = f\nargs = (sys.stderr,)',
    'handlers.TimedRotatingFileHandler\nformatter = f\nargs = ("x.log", "W7")',
    '10:18: [handler_h] args: handlers.TimedRotatingFileHandler: when is "W7" (there are: S, M, H, D, midnight, W0, W1, W2, W3, W4, W5, W6)',
  ],
  [
    'StreamHandler\nformatter = f\nargs = (sys.stderr,)',
    'handlers.SysLogHandler\nformatter = f\nargs = ("/dev/log", "lokal0")',
    '10:21: [handler_h] args: handlers.SysLogHandler: "lokal0" is not a facility (did you mean "local0"?)',
  ],
  [
    '%(message)s',
    '%(asctime)s %(mesage)s',
    '14:22: [formatter_f] format: there is no field "mesage" (did you mean "message"?)',
  ],
  [
    '%(message)s',
    '%(message)',
    '14:10: [formatter_f] format: "%(message)" lacks the letter that ends it: s, d, f, ...',
  ],
  [
    '%(message)s',
    '%(message)s\nclass = JSONFormatter',
    '15:9: [formatter_f] class: there is no formatter JSONFormatter (did you mean "paster.JSONFormatter"?)',
  ],
  [
    '%(message)s',
    '%(message)s\nformt = x',
    'warning 15:1: [formatter_f] unknown setting "formt" (did you mean "format"?)',
  ],
  [
    '[formatters]\nkeys = f\n',
    '[formatters]\nkeys = f\n[formatter_other]\n',
    'warning 13:1: [formatter_other] is not used: the keys of [formatters] do not list it',
  ],
  ['[handlers]\nkeys = h\n', '', '1:1: [loggers] there is no section [handlers] (write [handlers] with keys = ...)'],
])('%j changed to %j is reported', async (written, instead, expected) => {
  expect(GOOD).toContain(written);
  expect(await findingsOf(GOOD.replace(written, instead))).toContainEqual(expected);
});

test('several errors are reported together, and logging does not change', async () => {
  const text = GOOD.replace('StreamHandler', 'Nothing').replace('%(message)s', '%(nothing)s');
  const directory = temporaryDirectory({ 'x.ini': text, 'y.ini': '[app:main]\n' });
  const { version } = hierarchy();
  await expect(configureLogging(join(directory, 'x.ini'))).rejects.toMatchObject({ errors: [{}, {}] });
  await expect(configureLogging(join(directory, 'y.ini'))).rejects.toThrow('there is no section [loggers]');
  // Every change of a logger increases it.
  expect(hierarchy().version).toBe(version);
});

test('a missing directory is reported at the name of the file', async () => {
  const text = GOOD.replace('StreamHandler', 'FileHandler').replace('(sys.stderr,)', '("gone/x.log",)');
  expect(await findingsOf(text)).toEqual([
    expect.stringMatching(/^warning 10:9: \[handler_h\] there is no directory \S+\/gone/),
  ]);
  const directory = temporaryDirectory({ 'x.ini': text });
  const error = await configureLogging(join(directory, 'x.ini')).catch((thrown) => thrown);
  expect(error).toMatchObject({ location: { line: 10, column: 9 }, exitStatus: 1 });
  expect(error.hint).toMatch(/^create its directory: mkdir -p \S+\/gone$/);
});
