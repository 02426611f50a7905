/** The language of templates: values, sections, and the places of errors. */
import { expect, test } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { renderText } from '../../src/scaffold/render-text.ts';

const VARIABLES = new Map([
  ['name', 'shop'],
  ['language', 'ts'],
  ['empty', ''],
  ['version:express', '^5.0.0'],
  ['version:@types/node', '^20.0.0'],
]);
const VALUES = { names: [...VARIABLES.keys()], get: (name: string) => VARIABLES.get(name) };

function render(template: string): string {
  return renderText(template, '/t/app.js_tmpl', VALUES, (value) => value);
}

test.each([
  ['{{name}} {{ name }}', 'shop shop'],
  ['{{version:express}} {{version:@types/node}}', '^5.0.0 ^20.0.0'],
  ['f(x{{#language=ts}}: string{{/language}})', 'f(x: string)'],
  ['f(x{{#language=js}}: string{{/language}})', 'f(x)'],
  ['{{^language=js}}a{{/language}}{{^language=ts}}b{{/language}}', 'a'],
  ['{{#name}}a{{/name}}{{#empty}}b{{/empty}}{{#unknown}}c{{/unknown}}{{^unknown}}d{{/unknown}}', 'ad'],
  ['one\n{{#language=ts}}\ntwo\n{{/language}}\nthree\n', 'one\ntwo\nthree\n'],
  ['one\n  {{#language=js}}\ntwo\n  {{/language}}\nthree\n', 'one\nthree\n'],
  ['{{#name}}a{{#language=js}}b{{name}}{{/language}}c{{/name}}', 'ac'],
  ['{{#language=js}}{{unknown}}{{/language}}', ''],
  ['{ {name} } {{}} <%name%> {{ a b }}', '{ {name} } {{}} <%name%> {{ a b }}'],
])('%j becomes %j', (template, expected) => {
  expect(render(template)).toBe(expected);
});

test.each([
  ['one\n a {{nmae}}', 2, 4, 'the template needs a variable "nmae"'],
  ['one\n{{#name}}\n', 2, 1, '{{#name}} has no {{/name}}'],
  ['{{#name}}{{#language=ts}}{{/name}}{{/language}}', 1, 26, '{{/name}} ends no section of that name'],
  ['x{{/name}}', 1, 2, '{{/name}} ends no section of that name'],
])('%j is an error at %i:%i', (template, line, column, message) => {
  let thrown: unknown;
  try {
    render(template);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(ConfigError);
  expect(thrown).toMatchObject({ message, location: { file: '/t/app.js_tmpl', line, column } });
});
