/** What an error of an application looks like to a developer, to other clients, and in the log. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { errorPageSettings, makeErrorPage } from '../../../src/filters/errors/error-page.ts';
import type { App, Settings } from '../../../src/protocol/types.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { ask, askForStart } from '../../helpers/requests/ask.ts';
import { Lines, type Served, serveFiltered, settingsFrom } from '../serve-filter.ts';

const failing: App = (_req, res) => {
  res.setHeader('set-cookie', 'half=done');
  res.statusMessage = 'Odd';
  throw new TypeError('the reactor <b>leaks</b>', { cause: new Error('a valve at db://me:hunter2@host') });
};

async function serveWithErrorPage(
  globalConf: Settings,
  section: Settings,
  app: App = failing,
): Promise<Served & { records: Lines }> {
  const records = new Lines();
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    records.write(String(text).trimEnd());
    return true;
  });
  onTestFinished(() => write.mockRestore());
  const filter = makeErrorPage(globalConf, settingsFrom(errorPageSettings, section));
  return { ...(await serveFiltered(filter, app)), records };
}

const HTML = { headers: { accept: 'text/html,*/*;q=0.8' } };
const JSON_ONLY = { headers: { accept: 'application/json' } };

describe('without debug', () => {
  test.each<[string, Settings, Settings]>([
    ['debug is not set', {}, {}],
    ['the section turns debug off', { debug: 'true' }, { debug: 'false' }],
    ['Tornado’s flag turns it off', { debug: 'true', serve_traceback: 'false' }, {}],
  ])('when %s, the client gets an ID that the log has too', async (_what, globalConf, section) => {
    const { url, records } = await serveWithErrorPage(globalConf, section);
    for (const options of [{}, HTML, JSON_ONLY]) {
      const { status, headers, body } = await ask(url, '/a?b&token=t0', options);
      const text = body.toString();
      expect(status).toBe(500);
      expect(headers['set-cookie']).toBeUndefined();
      expect(text).toContain('Internal Server Error');
      expect(text).not.toMatch(/reactor|valve|TypeError|error-page\.test|\n\s+at /);
      const id = String(headers['x-request-id']);
      expect(text).toContain(id);
      const record = records.all.at(-1);
      expect(record).toMatch(new RegExp(`^error ${id}: GET /a\\?b&token=\\*{8} failed: TypeError: the reactor`));
      expect(record).toMatch(/error-page\.test\.ts:\d+[\s\S]*\n {4}caused by: Error: a valve/);
    }
  });

  test('the response has the text of error_message, and keeps the request ID of the client', async () => {
    const { url } = await serveWithErrorPage({}, { error_message: 'We <look> into it.' });
    const page = await ask(url, '/', { headers: { ...HTML.headers, 'x-request-id': 'known-7' } });
    expect(page.body.toString()).toContain('We &lt;look&gt; into it.');
    expect(page.body.toString()).toContain('<code>known-7</code>');
    const json = await ask(url, '/', JSON_ONLY);
    expect(JSON.parse(json.body.toString())).toEqual({
      status: 500,
      error: 'Internal Server Error',
      message: 'We <look> into it.',
      id: json.headers['x-request-id'],
    });
  });

  test('the record is appended to error_log', async () => {
    const here = temporaryDirectory();
    const { url, records } = await serveWithErrorPage({ here }, { error_log: join(here, 'errors.log') });
    await ask(url, '/');
    expect(readFileSync(join(here, 'errors.log'), 'utf8')).toMatch(/^\d{4}-\S+Z error \S+: GET \/ failed: TypeError/);
    expect(records.all).toHaveLength(1);
  });
});

describe('with debug', () => {
  test('control characters of a message are escaped in plain text', async () => {
    const { url } = await serveWithErrorPage({ debug: 'true' }, {}, () => {
      throw new Error('no such name: \x1b]0;title\x07\x1b[2J\tx');
    });
    const text = (await ask(url, '/', { headers: { accept: 'text/plain' } })).body.toString();
    expect(text).toContain('no such name: \\x1b]0;title\\x07\\x1b[2J  x\n');
  });

  test.each<[string, Settings, Settings]>([
    ['in [DEFAULT]', { debug: 'true' }, {}],
    ['in the section', {}, { debug: 'true' }],
    ['in Tornado’s flag', { serve_traceback: 'true' }, {}],
  ])('%s, a browser gets the error, its place and the request', async (_what, globalConf, section) => {
    const { url } = await serveWithErrorPage(globalConf, section);
    const { status, body, headers } = await ask(url, '/path?password=hunter2&page=7', {
      headers: { ...HTML.headers, authorization: 'Basic hunter2', cookie: 'sid=hunter2', "x-odd'&": '<b>' },
    });
    const page = body.toString();
    expect(status).toBe(500);
    expect(headers['cache-control']).toBe('no-store');
    expect(page).toContain('the reactor &lt;b&gt;leaks&lt;/b&gt;');
    expect(page).toContain('error-page.test.ts');
    expect(page).toContain('half=done');
    expect(page).toContain('page=7');
    expect(page).toContain('a valve at db://me:********@host');
    expect(page).toContain(String(headers['x-request-id']));
    expect(page).toContain('REMOTE_ADDR');
    expect(page).toContain('x-odd&#39;&amp;');
    expect(page).not.toContain('hunter2');
  });

  test('JSON and text have the same details', async () => {
    const { url } = await serveWithErrorPage({ debug: 'true' }, {});
    const json = JSON.parse((await ask(url, '/', JSON_ONLY)).body.toString());
    expect(json).toMatchObject({ status: 500, name: 'TypeError', message: 'the reactor <b>leaks</b>' });
    expect(json.stack.join('\n')).toMatch(/error-page\.test\.ts:\d+/);
    const text = (await ask(url, '/')).body.toString();
    expect(text).toMatch(/error-page\.test\.ts:\d+[\s\S]*caused by: Error: a valve/);
    expect(text + JSON.stringify(json)).not.toContain('hunter2');
  });

  test.each<[string, unknown]>([
    ['a text', 'just a text'],
    ['nothing', undefined],
    ['an object', { secret: 1 }],
    ['an error without a stack', Object.assign(new Error('bare'), { stack: undefined })],
    [
      'a cycle of causes',
      Object.assign(new Error('round'), {
        get cause() {
          return this;
        },
      }),
    ],
  ])('accepts %s as an error', async (_what, thrown) => {
    const { url } = await serveWithErrorPage({ debug: 'true' }, {}, () => {
      throw thrown;
    });
    for (const options of [HTML, JSON_ONLY, {}]) expect((await ask(url, '/', options)).status).toBe(500);
  });
});

describe('an error', () => {
  test('of a promise responds 500', async () => {
    const { url, records } = await serveWithErrorPage({}, {}, async () => {
      await null;
      throw new Error('later');
    });
    expect((await ask(url, '/')).status).toBe(500);
    expect(records.all[0]).toContain('Error: later');
  });

  test('after the head aborts the connection, and adds nothing', async () => {
    const { url, records, failures } = await serveWithErrorPage({ debug: 'true' }, {}, async (_req, res) => {
      res.write('begun;');
      await new Promise((resolve) => setTimeout(resolve, 20));
      throw new Error('too late');
    });
    const { body, complete } = await ask(url, '/', HTML);
    expect([body.toString(), complete]).toEqual(['begun;', false]);
    expect(records.all[0]).toContain('too late');
    expect(failures).toEqual([]);
  });

  test('after the end leaves the response complete', async () => {
    const { url, records } = await serveWithErrorPage({}, {}, async (_req, res) => {
      res.end('whole');
      throw new Error('afterwards');
    });
    const { body, complete } = await ask(url, '/');
    expect([body.toString(), complete]).toEqual(['whole', true]);
    await records.atLeast(1);
  });

  test('after the client has left is logged', async () => {
    const { url, records } = await serveWithErrorPage({}, {}, async (_req, res) => {
      res.write('begun');
      await new Promise((resolve) => res.on('close', resolve));
      throw new Error('no client');
    });
    (await askForStart(url, '/')).leave();
    expect((await records.atLeast(1))[0]).toContain('no client');
  });
});

test('a request without errors passes unchanged', async () => {
  const { url, records } = await serveWithErrorPage({ debug: 'true' }, {}, (_req, res) =>
    res.writeHead(418).end('short'),
  );
  const { status, body } = await ask(url, '/');
  expect([status, body.toString(), records.all]).toEqual([418, 'short', []]);
});
