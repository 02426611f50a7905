/** The status page of all workers: its formats, who may read it, and the page in a browser. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { leastContrast, overhang, startChromium, visit } from '../../helpers/documentation/chromium.ts';
import { eventually, needProgram } from '../../helpers/programs/program.ts';
import { ask, askForStart } from '../../helpers/requests/ask.ts';
import { startNginx, startNginxForScgi } from '../../helpers/web-servers/front-end.ts';
import { runNginx } from '../../helpers/web-servers/nginx.ts';
import { HTTP, inflightRequests, OF_SITE, scrape, start, statusOf } from './monitored-server.ts';

/** So many that both workers get some. */
const COUNT = 16;

describe('status', () => {
  test('lists the requests of all workers, in the format that the client accepts', async () => {
    const { url } = await start(`${HTTP}workers = 2`);
    const leave = new AbortController();
    const held = await Promise.all(
      Array.from({ length: COUNT }, (_, index) => fetch(`${url}/held?token=t&n=${index}`, { signal: leave.signal })),
    );
    const isHeld = ({ section }: Record<string, unknown>) => section === 'app:site';
    const found = (await inflightRequests(url)).filter(isHeld);
    const expected = Array.from({ length: COUNT }, (_, index) => `/held?token=********&n=${index}`);
    expect(found.map((each) => each['url']).sort()).toEqual(expected.sort());
    const { workers } = await statusOf(url);
    expect(workers.map(({ report }) => report?.inFlight?.some(isHeld))).toEqual([true, true]);
    expect(found[0]).toMatchObject({ method: 'GET', client: '127.0.0.1', section: 'app:site' });
    const page = await ask(url, '/status', { headers: { accept: 'text/html' } });
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': expect.not.stringContaining('unsafe'),
    });
    expect(page.body.toString()).toContain('/held?token=********&amp;n=0');
    expect((await ask(url, '/status?format=html')).headers['content-type']).toMatch(/html/);
    expect((await ask(url, '/status?format=json', { headers: { accept: 'text/html' } })).headers['content-type']).toBe(
      'application/json',
    );
    leave.abort();
    for (const each of held) await each.body?.cancel().catch(() => {});
  });

  test('shows the last known state of a blocked worker', async () => {
    const { url } = await start(`${HTTP}workers = 2`);
    await scrape(url);
    const found = await eventually(async () => {
      const spinning = ask(url, '/spin');
      // Otherwise the blocked worker might have accepted the request.
      await sleep(200);
      const { workers } = await statusOf(url);
      await spinning;
      return workers.find(({ silent }) => silent !== undefined);
    });
    expect(found.silent).toBeGreaterThan(0.2);
  });

  test('is for clients on this machine, but not for those that come through a proxy', async () => {
    const { url } = await start(HTTP);
    expect((await ask(url, '/status')).status).toBe(200);
    for (const name of ['X-Forwarded-For', 'Forwarded', 'Via', 'X-Real-IP']) {
      expect((await ask(url, '/status', { headers: { [name]: '192.0.2.1' } })).status, name).toBe(403);
    }
  });

  test.each(['fastcgi', 'scgi'])(
    'behind nginx by %s it is for clients that nginx reports as local',
    async (protocol) => {
      const binary = needProgram('nginx');
      const socket = join(temporaryDirectory(), 'a.sock');
      await start(`use = npm:paster#${protocol}\nsocket = ${socket}\nworkers = 2`);
      const { url } = await (protocol === 'scgi' ? startNginxForScgi(binary, socket) : startNginx(binary, { socket }));
      const before = (await scrape(url)).get(OF_SITE) ?? 0;
      for (let round = 0; round < 5; round++) await ask(url, '/');
      const broken = new AbortController();
      const held = fetch(`${url}/held`, { signal: broken.signal }).then((answer) => answer.text());
      await eventually(async () => (await inflightRequests(url)).some((each) => each['url'] === '/held'));
      broken.abort();
      await held.catch(() => {});
      const samples = await eventually(async () => {
        const found = await scrape(url);
        return found.get('paster_http_requests_aborted_total{section="app:site"}') === 1 && found;
      });
      expect(samples.get(OF_SITE)).toBe(before + 6);
      expect(samples.get('paster_received_bytes_total')).toBeGreaterThan(500);
      // nginx reports where its client is, which decides; here it is the loopback.
      expect((await ask(url, '/status')).status).toBe(200);
      const elsewhere = await startNginxForRemoteClient(binary, socket, protocol);
      expect((await ask(elsewhere, '/status')).status).toBe(403);
    },
  );

  test('in a browser it is live, and works with the keyboard, on a phone and a desktop, dark and light', async () => {
    const chromium = needProgram('chromium');
    const program = await start(`${HTTP}workers = 2`);
    const { url } = program;
    const leave = new AbortController();
    const held = await askForStart(url, '/held?<script>alert(1)</script><img/src=x/onerror=alert(1)>"\'');
    const long = fetch(`${url}/held?${'a'.repeat(250)}`, { signal: leave.signal }).catch(() => {});
    await eventually(async () => (await inflightRequests(url)).length >= 3);
    const browser = await startChromium(chromium);
    for (const [width, dark] of [
      [360, true],
      [1440, false],
    ] as const) {
      const { page, errors } = await visit(browser, `${url}/status`, { dark, viewport: { width, height: 800 } });
      await page.locator('#live', { hasText: 'live' }).waitFor();
      expect(await overhang(page)).toBe(0);
      const { ratio, brightness } = await leastContrast(page);
      expect(ratio).toBeGreaterThanOrEqual(4.5);
      expect(brightness < 0.5).toBe(dark);
      expect(await page.locator('main img, main script').count()).toBe(0);
      expect(await page.locator('#requests td.url').allInnerTexts()).toEqual(
        expect.arrayContaining(['/held?<script>alert(1)</script><img/src=x/onerror=alert(1)>"\'']),
      );
      expect(await page.locator('#workers tbody tr').count()).toBe(2);
      expect(errors).toEqual([]);
      if (width === 360) continue;
      // Events on the server appear without reloading the page, even after its worker has ended.
      await page.evaluate('window.isSamePage = true');
      program.child.kill('SIGHUP');
      await page.locator('#events', { hasText: 'HUP' }).waitFor();
      expect(await page.evaluate('window.isSamePage')).toBe(true);
      await page.locator('#live', { hasText: 'live' }).waitFor();
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.locator('#live', { hasText: 'paused' }).waitFor();
      expect(await page.locator('button:focus').innerText()).toBe('Continue');
    }
    // Without JavaScript the page refreshes itself.
    const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
    await plain.goto(`${url}/status`);
    expect(await plain.locator('#workers tbody tr').count()).toBeGreaterThanOrEqual(2);
    await plain.waitForEvent('framenavigated', { timeout: 60_000 });
    leave.abort();
    held.leave();
    await long;
  });

  test('open pages are not counted as requests in flight, are limited in number, and end when their worker drains', async () => {
    const program = await start(`${HTTP}workers = 1`);
    const { url } = program;
    const leave = new AbortController();
    const events = `${url}/status?format=events`;
    const pages = await Promise.all(Array.from({ length: 16 }, () => fetch(events, { signal: leave.signal })));
    const [page] = pages;
    expect(page?.headers.get('content-type')).toBe('text/event-stream');
    // One more gets the status once, and is asked to reconnect later.
    const crowded = await (await fetch(events)).text();
    expect(crowded).toMatch(/^retry: 10000\ndata: \{"build":/);
    expect(JSON.parse(crowded.replace(/^[^{]*/, '')).parts).toHaveProperty('workers');
    expect(await inflightRequests(url)).toHaveLength(1);
    expect(
      await scrape(url).then((samples) => samples.get('paster_http_requests_aborted_total{section="app:status"}')),
    ).toBe(0);
    program.child.kill('SIGHUP');
    const [text = ''] = await Promise.all(pages.map((each) => each.text()));
    expect(text).toMatch(/^retry: 1000\n/);
    // The supervisor records the reload when the old worker has begun to drain.
    await eventually(async () => {
      const { events: happened } = JSON.parse((await ask(url, '/status')).body.toString());
      return happened.length === 1 && happened[0].kind === 'reload' && happened[0].text === 'HUP';
    });
  });
});

/** Starts an nginx that reports the same remote address for every client. */
async function startNginxForRemoteClient(binary: string, socket: string, protocol: string): Promise<string> {
  const { url } = await runNginx(
    binary,
    `server {
    listen 80;
    location / {
      ${protocol}_pass unix:${socket};
      ${protocol}_param REQUEST_METHOD $request_method;
      ${protocol}_param REQUEST_URI $request_uri;
      ${protocol}_param SERVER_PROTOCOL $server_protocol;
      ${protocol}_param CONTENT_LENGTH ${protocol === 'scgi' ? '0' : '$content_length'};
      ${protocol}_param SCGI 1;
      ${protocol}_param REMOTE_ADDR 192.0.2.7;
    }
  }`,
  );
  return url;
}
