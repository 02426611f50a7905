/** The examples of `paster help` do what test/fixtures/help-examples.md says. */
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../../src/commands/command-line/command-table.ts';
import { commandsOf, hasCommands, partsOf } from '../helpers/documentation/documentation.ts';
import { follow } from '../helpers/programs/follow.ts';

const PAGE = 'test/fixtures/help-examples.md';

test('each example has a section that runs it, and each section belongs to an example', async () => {
  const commands = await Promise.all([...COMMANDS.values()].map(({ load }) => load()));
  const examples = commands.flatMap((command) => command.examples.map(([line]) => line));
  const sections = partsOf(PAGE).filter(({ blocks }) => hasCommands(blocks));
  expect(sections.map(({ heading }) => heading)).toEqual(examples);
  const typedIn = sections.map(({ blocks }) => blocks.flatMap(commandsOf).map(({ typed }) => typed));
  expect(examples.filter((example, index) => !typedIn[index]?.includes(example))).toEqual([]);
});

describe('the examples', () => follow(PAGE));
