/** `allow`: which clients may connect to a gateway server. */
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { networks, Peers } from '../../src/net/peers.ts';

describe('the allowed peers', () => {
  test.each([
    ['10.0.0.5', '10.0.0.5', true],
    ['10.0.0.5', '10.0.0.6', false],
    ['10.1.0.0/16', '10.1.200.3', true],
    ['10.1.0.0/16', '::ffff:10.1.2.3', true],
    ['10.1.0.0/16', '10.2.0.1', false],
    ['2001:db8::/32', '2001:db8::1', true],
    ['2001:db8::/32', '10.0.0.1', false],
    ['10.0.0.5', '127.0.0.1', false],
    ['', '127.0.0.1', true],
    ['', '::1', true],
    ['', '::ffff:127.0.0.1', true],
    ['', '10.0.0.5', false],
  ])('with allow %j: %s is %s', (allow, address, admitted) => {
    expect(new Peers(networks.parse(allow)).admits(address)).toBe(admitted);
  });

  test.each(['10.0.0.5', ''])(
    'with allow %j include a Unix socket, but not a TCP connection whose peer has gone',
    (allow) => {
      const peers = new Peers(networks.parse(allow));
      expect(peers.admitsConnection({})).toBe(true);
      expect(peers.admitsConnection({ localAddress: '127.0.0.1' })).toBe(false);
      expect(peers.admitsConnection({ localAddress: '10.0.0.1', remoteAddress: '10.0.0.5' })).toBe(allow !== '');
    },
  );

  test.each(['10.0.0', 'example.test', '10.0.0.0/33', '::1/129', '1.2.3.4/', '1.2.3.4/5/6', '1.2.3.4/x'])(
    'may not contain %s, which is no network',
    (text) => {
      expect(() => networks.parse(text)).toThrow(text);
    },
  );

  test('are required for an open address', () => {
    const open = { kind: 'tcp', host: '0.0.0.0', port: 9000 } as const;
    expect(() => new Peers(undefined).checkAddress(open, 'FastCGI')).toThrow(ConfigError);
    new Peers(networks.parse('10.0.0.1, 10.0.0.2')).checkAddress(open, 'FastCGI');
    new Peers(undefined).checkAddress({ ...open, host: '127.0.0.1' }, 'FastCGI');
    new Peers(undefined).checkAddress({ kind: 'unix', path: '/s' }, 'FastCGI');
  });
});
