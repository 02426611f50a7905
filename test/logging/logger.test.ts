/** Loggers as an application uses them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { configureLogging, getLogger } from '../../src/index.ts';
import { hierarchy } from '../../src/logging/python/logger.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

/** The text of a file that gets every message. */
async function linesOf(log: () => void, formatter = 'format = %(levelname)s %(name)s %(message)s'): Promise<string[]> {
  const directory = temporaryDirectory({
    'x.ini': `[loggers]
keys = root
[logger_root]
level = DEBUG
handlers = file
[handlers]
keys = file
[handler_file]
class = FileHandler
formatter = f
args = ("%(here)s/x.log",)
[formatters]
keys = f
[formatter_f]
${formatter}
`,
  });
  await configureLogging(join(directory, 'x.ini'));
  log();
  hierarchy().flush();
  return readFileSync(join(directory, 'x.log'), 'utf8').split('\n').slice(0, -1);
}

test('messages format their arguments like util.format', async () => {
  const log = getLogger('shop.cart');
  expect(
    await linesOf(() => {
      log.debug('%s of %d', 'one', 2);
      log.info('100%');
      log.warn({ a: 1 });
      log.warning('w');
      log.error('e');
      log.critical('c');
      log.log(15, 'between');
    }),
  ).toEqual([
    'DEBUG shop.cart one of 2',
    'INFO shop.cart 100%',
    'WARNING shop.cart { a: 1 }',
    'WARNING shop.cart w',
    'ERROR shop.cart e',
    'CRITICAL shop.cart c',
    'Level 15 shop.cart between',
  ]);
});

test('each line has its own time, level and logger', async () => {
  vi.useFakeTimers({ now: 1_700_000_000_001, toFake: ['Date'] });
  try {
    const [shop, cart] = [getLogger('shop'), getLogger('shop.cart')];
    const lines = await linesOf(() => {
      shop.info('a');
      shop.info('b');
      cart.info('b');
      cart.error('b');
      vi.setSystemTime(1_700_000_000_002);
      cart.error('b');
      shop.info('a');
    }, 'format = %(msecs)d %(levelname)s %(name)s: %(message)s %(levelname)s');
    expect(lines).toEqual([
      '1 INFO shop: a INFO',
      '1 INFO shop: b INFO',
      '1 INFO shop.cart: b INFO',
      '1 ERROR shop.cart: b ERROR',
      '2 ERROR shop.cart: b ERROR',
      '2 INFO shop: a INFO',
    ]);
  } finally {
    vi.useRealTimers();
  }
});

test('an error is shown with its stack, whichever argument it is', async () => {
  const log = getLogger('shop');
  const error = new TypeError('bad\n    at nowhere', { cause: new Error('deeper') });
  const lines = await linesOf(() => {
    log.exception('cannot pay', error);
    log.error('cannot pay', error);
    log.error(error);
    log.error('as text: %s', 'x');
    log.exception('no error', 'a text');
  });
  const starts = lines.flatMap((line, index) => (line.startsWith('ERROR') ? [[line, lines[index + 1]]] : []));
  const head = 'TypeError: bad\\n    at nowhere';
  expect(starts.slice(0, 3)).toEqual([
    ['ERROR shop cannot pay', head],
    ['ERROR shop cannot pay', head],
    ['ERROR shop bad\\n    at nowhere', head],
  ]);
  expect(lines.filter((line) => line === '  caused by Error: deeper')).toHaveLength(3);
  expect(lines.slice(-2)).toEqual(['ERROR shop as text: x', 'ERROR shop no error a text']);
  expect(lines.filter((line) => !/^(?:ERROR | {2}|TypeError)/.test(line))).toEqual([]);
});

test('a width counts characters, also those of two UTF-16 units', async () => {
  const log = getLogger('😀é z');
  expect(await linesOf(() => log.info('x'), 'format = %(name)-6.2s|%(name)6.3s|%(levelname)-5.2s|')).toEqual([
    '😀é    |   😀é |IN   |',
  ]);
});

test('text of a client cannot forge a line', async () => {
  const lines = await linesOf(() => getLogger('x').info('user %s', 'a\nERROR x forged\r\u001b[2K\u2028\u202e'));
  expect(lines).toEqual(['INFO x user a\\nERROR x forged\\r\\x1b[2K\\u{2028}\\u{202e}']);
});

test('the calling function is determined only if a format shows it', async () => {
  function pay(): void {
    getLogger('x').info('paid');
  }
  const [line] = await linesOf(pay, 'format = %(funcName)s %(module)s %(filename)s %(message)s');
  expect(line).toBe('pay logger.test logger.test.ts paid');
});

test('paster.JSONFormatter writes one object per line', async () => {
  const log = getLogger('shop');
  const lines = await linesOf(() => {
    log.info('a\n"b" \u001b[31mé\u202e\u{e0041}');
    log.exception('c', new Error('d'));
  }, 'class = paster.JSONFormatter');
  const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(first).toEqual({
    time: expect.stringMatching(/T.*Z$/),
    level: 'INFO',
    logger: 'shop',
    process: process.pid,
    message: 'a\n"b" \u001b[31mé\u202e\u{e0041}',
  });
  expect(lines[0]).toContain(String.raw`a\n\"b\" \u001b[31mé\u202e\udb40\udc41`);
  expect(second).toMatchObject({
    error: { type: 'Error', message: 'd', stack: expect.stringContaining('logger.test.ts') },
  });
  const named = await linesOf(
    () => log.info('x\ny'),
    'class = paster.JSONFormatter\nformat = %(levelname)s %(message)s %(lineno)d',
  );
  expect(JSON.parse(named[0] ?? '')).toEqual({ levelname: 'INFO', message: 'x\ny', lineno: expect.any(Number) });
});

test('a message below the level is not formatted', async () => {
  await linesOf(() => {});
  hierarchy().configure([], new Map([['root', { level: 30, handlers: [], propagate: true }]]));
  const shown = { toString: vi.fn(() => 'x') };
  getLogger('a.b').info('%s', shown);
  expect(shown.toString).not.toHaveBeenCalled();
  expect([
    getLogger('a.b').isEnabledFor(20),
    getLogger('a.b').isEnabledFor(30),
    getLogger('a.b').effectiveLevel,
  ]).toEqual([false, true, 30]);
});

test('a name has only one logger, and the root logger is the one without a name', () => {
  expect(getLogger('a.b')).toBe(getLogger('a.b'));
  expect(getLogger()).toBe(getLogger('root'));
});
