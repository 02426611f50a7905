/** Members are added to package.json as text, and the rest keeps its formatting. */
import { expect, test } from 'vitest';
import { addMembers } from '../../src/scaffold/project-edits.ts';

const add = (text: string): string => addMembers(text, 'scripts', { dev: 'a "b"', start: 'c' }, 'package.json');

test.each([
  ['{}', '{\n  "scripts": {\n    "dev": "a \\"b\\"",\n    "start": "c"\n  }\n}'],
  ['{ "name": "x" }', '{ "name": "x", "scripts": {"dev": "a \\"b\\"", "start": "c"} }'],
  ['{"name":"x"}', '{"name":"x","scripts":{"dev":"a \\"b\\"","start":"c"}}'],
  ['{"scripts": {}, "a": 1}', '{"scripts": {"dev": "a \\"b\\"", "start": "c"}, "a": 1}'],
  [
    '{\n  "scripts": {},\n  "a": [1, {"b": "}"}]\n}\n',
    '{\n  "scripts": {\n    "dev": "a \\"b\\"",\n    "start": "c"\n  },\n  "a": [1, {"b": "}"}]\n}\n',
  ],
  [
    '\uFEFF{\r\n\t"scripts": {\r\n\t\t"x": "\\"{"\r\n\t}\r\n}\r\n',
    '\uFEFF{\r\n\t"scripts": {\r\n\t\t"x": "\\"{",\r\n\t\t"dev": "a \\"b\\"",\r\n\t\t"start": "c"\r\n\t}\r\n}\r\n',
  ],
  [
    '{\n    "a": {"scripts": {}},\n    "b": -1.5e3\n}',
    '{\n    "a": {"scripts": {}},\n    "b": -1.5e3,\n    "scripts": {\n        "dev": "a \\"b\\"",\n        "start": "c"\n    }\n}',
  ],
])('members are added to %j', (text, expected) => {
  expect(add(text)).toBe(expected);
  const parsed = JSON.parse(expected.replace(/^\uFEFF/, '')) as { scripts: object };
  expect(parsed.scripts).toMatchObject({ dev: 'a "b"', start: 'c' });
});

test.each([
  ['{ "scripts": ', 'package.json is not JSON: '],
  ['[]', 'package.json: "scripts" is not an object'],
  ['{"scripts": "x"}', 'package.json: "scripts" is not an object'],
])('%s is an error', (text, message) => {
  expect(() => add(text)).toThrow(message);
});
