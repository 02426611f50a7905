/** How the arguments of commands are parsed, and the help texts. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Command, camelCase, optionNames } from '../../src/commands/command-line/command.ts';
import { COMMANDS } from '../../src/commands/command-line/command-table.ts';
import { commandHelp } from '../../src/commands/command-line/help.ts';
import { parseArguments } from '../../src/commands/command-line/parse-arguments.ts';
import { UsageError } from '../../src/errors.ts';

const commands = await Promise.all([...COMMANDS.values()].map((entry) => entry.load()));

function command(name: string): Command {
  const found = commands.find((each) => each.name === name);
  if (!found) throw new Error(`there is no command ${name}`);
  return found;
}

test.each<[string, string[], string[], Record<string, unknown>]>([
  ['serve', [], [], {}],
  ['serve', ['x.ini', '--reload', '-p', '80', 'a=b'], ['x.ini', 'a=b'], { reload: true, port: '80' }],
  [
    'serve',
    ['-p80', '--workers=2', '-qv', 'x.ini'],
    ['x.ini'],
    { port: '80', workers: '2', quiet: true, verbose: true },
  ],
  ['serve', ['--pid-file=a', '--pid-file', 'b'], [], { pidFile: 'b' }],
  ['serve', ['--server-name', 'a', '--server-name=b'], [], { serverName: ['a', 'b'] }],
  ['serve', ['--inspect', 'x.ini'], ['x.ini'], { inspect: '' }],
  ['serve', ['--inspect=0', 'x.ini'], ['x.ini'], { inspect: '0' }],
  ['serve', ['--port=', '-w', '-1'], [], { port: '', workers: '-1' }],
  ['serve', ['x.ini', '--', '--reload', 'a=b'], ['x.ini', '--reload', 'a=b'], {}],
  ['serve', ['-'], ['-'], {}],
  ['create', ['--no-interactive', 'x'], ['x'], { noInteractive: true }],
  ['control', ['x.ini', 'workers', '-1'], ['x.ini', 'workers', '-1'], {}],
  ['control', ['x.ini', 'workers', '-12', '-f'], ['x.ini', 'workers', '-12'], { follow: true }],
  ['exe', ['-e', 'a.env', 'x.ini', '--reload', '-h', '-1'], ['x.ini', '--reload', '-h', '-1'], { dotenv: ['a.env'] }],
])('%s %j is parsed', (name, words, args, options) => {
  expect(parseArguments(words, command(name))).toEqual({ args, options });
});

test.each([[['-h']], [['x.ini', '--help']], [['-qh']], [['--help', '--unknown']]])('%j requests help', (words) => {
  expect(parseArguments(words, command('serve'))).toBeUndefined();
});

test.each([
  ['serve', ['--prot', '80'], `serve: unknown option '--prot'`, 'did you mean "--port"?'],
  ['serve', ['--zzz=1'], `serve: unknown option '--zzz'`, 'see paster help serve'],
  ['serve', ['-qz'], `serve: unknown option '-z'`, 'see paster help serve'],
  ['serve', ['--no-reload'], `serve: unknown option '--no-reload'`, 'did you mean "--reload"?'],
  ['serve', ['-p'], 'serve: -p, --port <port> needs a value', 'see paster help serve'],
  ['serve', ['--reload=3'], 'serve: --reload takes no value', 'see paster help serve'],
  ['request', ['x.ini'], `request: missing required argument 'url'`, 'see paster help request'],
  [
    'completion',
    ['bash', 'zsh'],
    'completion: too many arguments: it takes 1, but got 2',
    'see paster help completion',
  ],
])('%s %j is an error', (name, words, message, hint) => {
  expect(() => parseArguments(words, command(name))).toThrow(expect.objectContaining({ message, hint }));
});

test.each(commands)('any words for $name are parsed or are a usage error', ({ name }) => {
  const { options } = command(name);
  const flags = options.flatMap(({ flags: each }) => each.split(/[ ,]+/).filter((word) => word.startsWith('-')));
  const odd = fc.constantFrom(
    '',
    '-',
    '--',
    '-1',
    '--help',
    '--unknown',
    '-x',
    '--=',
    'a=b',
    '-qv',
    '--no-x',
    '--__proto__',
  );
  const word = fc.oneof(fc.constantFrom(...flags, 'x.ini'), odd, fc.string());
  const names = options.map((option) => camelCase(optionNames(option.flags).long));
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (words) => {
      try {
        const parsed = parseArguments(words, command(name));
        if (!parsed) return;
        expect(names).toEqual(expect.arrayContaining(Object.keys(parsed.options)));
        // Each argument is one of the words, in the same order.
        let rest = words;
        for (const arg of parsed.args) {
          expect(rest).toContain(arg);
          rest = rest.slice(rest.indexOf(arg) + 1);
        }
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
      }
    }),
  );
});

test('help wraps at the width of the terminal, but not into a narrow column', () => {
  const lines = commandHelp(command('run'), 80).split('\n');
  const wrapped = lines.slice(0, lines.indexOf('Examples:'));
  expect(Math.max(...wrapped.map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(wrapped).toContain('  -e, --dotenv <file>  read environment variables from this file; those that are');
  expect(wrapped).toContain(`${' '.repeat(23)}set already stay`);
  expect(commandHelp(command('run'), 50)).toContain('from this file; those that are set already stay\n');
});
