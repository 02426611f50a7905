/** How the output of a CGI script becomes a response (RFC 3875 section 6), and what is refused. */
import { describe, expect, test } from 'vitest';
import { eventually } from '../../helpers/programs/program.ts';
import { bin, ENV } from './scripts.ts';

describe('the script’s output', () => {
  const say = (text: string): string => `#!/bin/sh\nprintf '${text}'\n`;
  const answerTo = async (text: string, name = 'x', method = 'GET') => {
    const served = await bin({ [name]: text });
    return { ...(await served.ask(`/cgi-bin/${name}`, {}, method)), log: served.log };
  };

  test('may have a Status, headers with any line ends, and repeated headers', async () => {
    const answer = await answerTo(
      say('Status: 404 Gone Fishing\\r\\nContent-Type: text/plain\\r\\nX-A:  b \\r\\n\\r\\nbody'),
    );
    expect(answer).toMatchObject({ status: 404, headers: { 'content-type': 'text/plain', 'x-a': 'b' } });
    const { port } = await bin({
      x: say('Set-Cookie: a=1\\nSet-Cookie: b=2\\nConnection: x\\nTransfer-Encoding: chunked\\n\\n'),
    });
    const response = await fetch(`http://127.0.0.1:${port}/cgi-bin/x`);
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    expect(await response.text()).toBe('');
  });

  test('may redirect to another site with Location: with 302, or with its own Status', async () => {
    const away = await answerTo(say('Location: https://example.org/x\\n\\n'));
    expect(away).toMatchObject({ status: 302, headers: { location: 'https://example.org/x' } });
    expect(await answerTo(say('Status: 303 See\\nLocation: /cgi-bin/x\\n\\n'))).toMatchObject({ status: 303 });
    expect(await answerTo(say('Location: //evil.example/\\n\\n'))).toMatchObject({ status: 302 });
  });

  test('may name a local path in Location, which is served instead, with GET and without a body', async () => {
    const { ask, log } = await bin({
      from: '#!/bin/sh\nprintf "Location: /cgi-bin/env/there?z=1\\n\\n"\n',
      elsewhere: '#!/bin/sh\nprintf "Location: /other/page\\n\\n"\n',
      loop: '#!/bin/sh\nprintf "Location: /cgi-bin/loop\\n\\n"\n',
      env: ENV,
    });
    const { status, body } = await ask('/cgi-bin/from?q', { 'content-length': '0', 'content-type': 'a/b' }, 'POST');
    expect(status).toBe(200);
    expect(body.toString()).toMatch(/^REQUEST_METHOD=GET$/m);
    expect(body.toString()).toMatch(/^PATH_INFO=\/there$/m);
    expect(body.toString()).toMatch(/^QUERY_STRING=z=1$/m);
    expect(body.toString()).not.toMatch(/^CONTENT_/m);
    expect(await ask('/cgi-bin/elsewhere')).toMatchObject({ status: 302, headers: { location: '/other/page' } });
    expect((await ask('/cgi-bin/loop')).status).toBe(502);
    expect(log.join()).toMatch(/local redirects/);
  });

  test('has no body in response to HEAD', async () => {
    const answer = await answerTo(say('Content-Length: 4\\n\\nbody'), 'x', 'HEAD');
    expect(answer).toMatchObject({ status: 200, headers: { 'content-length': '4' }, body: Buffer.alloc(0) });
  });

  test('may be a whole HTTP response if the script’s name begins with nph-', async () => {
    const good = await answerTo(say('HTTP/1.0 207 Multi\\r\\nX-A: b\\r\\n\\r\\nbody'), 'nph-x');
    expect(good).toMatchObject({ status: 207, headers: { 'x-a': 'b' } });
    expect(good.body.toString()).toContain('body');
    const chunked = say('HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n');
    expect((await answerTo(chunked, 'nph-x')).status).toBe(502);
    expect((await answerTo(say('Content-Type: text/plain\\n\\nx'), 'nph-x')).status).toBe(502);
  });

  test.each([
    ['nothing', '#!/bin/sh\nexit 3\n', /no output \(exit status 3\)/],
    ['no head', say('just some text'), /without the empty line/],
    ['no header', say('just some text\\n\\nbody'), /no header but "just some text"/],
    ['an empty head', say('\\n\\nbody'), /no head/],
    ['binary', '#!/bin/sh\nhead -c 200000 /dev/urandom | tr -d "\\n"\n', /does not begin with a head of at most/],
    ['an endless head', '#!/bin/sh\nyes "X-A: b"\n', /does not begin with a head of at most/],
    ['a bad status', say('Status: OK\\n\\n'), /a Status of "OK"/],
    ['an interim status', say('Status: 100 Continue\\n\\n'), /a Status of/],
    ['a bad length', say('Content-Length: -1\\n\\n'), /a Content-Length of "-1"/],
    ['two lengths', say('Content-Length: 1\\nContent-Length: 2\\n\\n'), /a Content-Length of "2"/],
    ['a control character', say('X-A: a\\001b\\n\\n'), /no header but/],
    ['a folded line', say('X-A: a\\n b\\n\\n'), /no header but " b"/],
  ])('%s is a 502, with the reason in the log', async (_name, script, reason) => {
    const { status, body, log } = await answerTo(script);
    expect({ status, body: body.toString() }).toEqual({ status: 502, body: 'Bad Gateway\n' });
    await eventually(() => log.some((line) => reason.test(line)));
  });

  test('a body longer than its Content-Length cannot pass for a second response; a shorter one aborts the response', async () => {
    const long = await bin({ x: say('Content-Length: 2\\n\\nokHTTP/1.1 200 OK\\r\\n\\r\\n') });
    expect((await long.ask('/cgi-bin/x')).body.toString()).toBe('ok');
    expect(long.log.join()).toMatch(/longer than its Content-Length/);
    const short = await bin({ x: say('Content-Length: 20\\n\\nshort') });
    await expect(fetch(`${short.url}/cgi-bin/x`).then((response) => response.text())).rejects.toThrow();
    const killed = await bin({ x: '#!/bin/sh\nprintf "Content-Type: a/b\\n\\nhalf"\nsleep 0.2\nkill -9 $$\n' });
    await expect(fetch(`${killed.url}/cgi-bin/x`).then((response) => response.text())).rejects.toThrow();
  });

  test('standard error is logged line by line, with control characters escaped', async () => {
    const { log } = await answerTo('#!/bin/sh\nprintf "one\\ntwo \\033[31m\\nthree" >&2\nprintf "Status: 204\\n\\n"\n');
    await eventually(() => log.length >= 3);
    expect(log.map((line) => line.replace(/^.*\/x: /, ''))).toEqual(['one', 'two \\x1b[31m', 'three']);
  });
});
