/** How the arguments of commands are read. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { COMMANDS } from '../../src/commands/command-line/command-table.ts';
import { plainArguments } from '../../src/commands/command-line/plain-arguments.ts';
import { parse } from '../../src/commands/command-line/run.ts';
import { UsageError } from '../../src/errors.ts';

const commands = await Promise.all([...COMMANDS.values()].map((entry) => entry.load()));

/** Of options, values and arguments. Some of them are not allowed. */
function wordsFor(flags: readonly string[]): fc.Arbitrary<string[]> {
  const names = flags.flatMap((each) => each.split(/[ ,]+/).filter((name) => name.startsWith('-')));
  const odd = fc.constantFrom('', '-', '--', '-1', '--help', '-h', '--unknown', '-x', '--=', 'a=b', '-qv', '--no-x');
  const name = fc.constantFrom(...names, '-q');
  const value = fc.oneof(fc.constantFrom('etc/x.ini', 'a', '8000'), odd);
  const attached = fc.tuple(name, fc.constantFrom('=', ''), value).map((parts) => parts.join(''));
  return fc.array(fc.oneof({ weight: 3, arbitrary: value }, { weight: 3, arbitrary: name }, attached), {
    maxLength: 6,
  });
}

test.each(commands)('arguments of $name are read as commander reads them', (command) => {
  const console = { out: () => {}, err: () => {} };
  fc.assert(
    fc.property(wordsFor(command.options.map(({ flags }) => flags)), (words) => {
      const plain = plainArguments(words, command);
      if (plain) expect(plain).toEqual(parse(words, command, console));
    }),
  );
});

test.each([
  ['serve', ['x.ini', '--reload', '-p', '80', 'a=b'], { reload: true, port: '80' }, ['x.ini', 'a=b']],
  ['serve', ['--server-name', 'a', '--server-name=b'], { serverName: ['a', 'b'] }, []],
  ['exe', ['x.ini', '--reload'], {}, ['x.ini', '--reload']],
])('%s %j needs no commander', async (name, words, options, args) => {
  const command = commands.find((each) => each.name === name);
  expect(command && plainArguments(words, command)).toEqual({ args, options });
});

test.each([[['-h']], [['--port']], [['--prot', '80']], [['-p80']], [['a', 'start', 'b=c', '--', '--reload']]])(
  'commander reads %j',
  (words) => {
    const command = commands.find((each) => each.name === 'serve');
    expect(command && plainArguments(words, command)).toBeUndefined();
  },
);

test('an argument too many is an error', () => {
  const command = commands.find((each) => each.args.every(([name]) => !name.includes('...')));
  const words = Array<string>((command?.args.length ?? 0) + 1).fill('a');
  expect(() => command && parse(words, command, { out: () => {}, err: () => {} })).toThrow(UsageError);
  expect(command && plainArguments(words, command)).toBeUndefined();
});
