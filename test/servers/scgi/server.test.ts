/** The server as an object: its settings, and which peers may connect. */
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { lineLogger } from '../../../src/log.ts';
import { makeScgiServer, scgiSettings } from '../../../src/servers/scgi/server.ts';
import { ScgiClient } from './client.ts';
import { readSettings } from './serve.ts';

test('each setting has help, and flup’s names are known', () => {
  for (const setting of Object.values(scgiSettings.declarations)) expect(setting.help).toMatch(/\.$/);
  expect(Object.keys(scgiSettings.obsolete)).toEqual(expect.arrayContaining(['maxThreads', 'debug']));
  expect(readSettings({ scriptName: '/a', allowedServers: '10.0.0.1,10.0.0.2' })).toMatchObject({
    script_name: '/a',
    allow: [{ address: '10.0.0.1' }, { address: '10.0.0.2' }],
  });
});

test('the default address is 127.0.0.1:4000, and an open address is refused without allow', () => {
  const server = makeScgiServer({}, readSettings({}));
  expect(server.defaultAddress).toEqual({ kind: 'tcp', host: '127.0.0.1', port: 4000 });
  const open = { kind: 'tcp', host: '0.0.0.0', port: 4000 } as const;
  expect(() => server.checkAddress?.(open)).toThrow('SCGI on 0.0.0.0:4000 would accept any client address');
  makeScgiServer({}, readSettings({ allow: '10.0.0.1' })).checkAddress?.(open);
});

test('a peer that is not allowed is disconnected, and logged once', async () => {
  const log: string[] = [];
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const running = await makeScgiServer({}, readSettings({ allow: '10.0.0.5' })).serve(() => {}, [listener], {
    log: lineLogger('warn', (line) => log.push(line)),
  });
  const { port } = listener.address() as AddressInfo;
  for (let i = 0; i < 3; i++) await (await ScgiClient.connect(port)).closed;
  expect(log).toEqual([expect.stringContaining('SCGI from 127.0.0.1: not among')]);
  await running.close();
});
