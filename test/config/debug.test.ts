import { expect, test } from 'vitest';
import { debugFlags } from '../../src/config/debug.ts';

const SAFE = {
  debug: false,
  autoreload: false,
  browserReload: true,
  serveTraceback: false,
  staticHashCache: true,
  compiledTemplateCache: true,
};

test('everything is off by default', () => {
  expect(debugFlags({})).toEqual(SAFE);
  expect(debugFlags({ debug: 'false', other: 'true' })).toEqual(SAFE);
});

test('debug turns on the flags that depend on it', () => {
  expect(debugFlags({ debug: 'true' })).toEqual({
    debug: true,
    autoreload: false,
    browserReload: true,
    serveTraceback: true,
    staticHashCache: false,
    compiledTemplateCache: false,
  });
});

test.each([
  ['autoreload', 'autoreload'],
  ['browser_reload', 'browserReload'],
  ['serve_traceback', 'serveTraceback'],
  ['static_hash_cache', 'staticHashCache'],
  ['compiled_template_cache', 'compiledTemplateCache'],
] as const)('%s overrides debug', (name, field) => {
  for (const debug of ['true', 'false']) {
    const without = debugFlags({ debug });
    expect(debugFlags({ debug, [name]: 'on' })).toEqual({ ...without, [field]: true });
    expect(debugFlags({ debug, [name]: 'off' })).toEqual({ ...without, [field]: false });
  }
});

test('a value that is neither true nor false is refused, with the name of the setting', () => {
  expect(() => debugFlags({ serve_traceback: 'maybe' })).toThrow('serve_traceback: "maybe" is neither true nor false');
});
