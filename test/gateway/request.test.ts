import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { GatewayRequest } from '../../src/gateway/request.ts';
import { readHead } from '../../src/gateway/request-head.ts';
import { GatewaySocket } from '../../src/gateway/socket.ts';

const carrier = { send: () => true, resumeBody() {}, abort() {} };

function request(...more: string[]): GatewayRequest {
  const head = readHead(['REQUEST_METHOD', 'GET', 'REQUEST_URI', '/a', 'REMOTE_USER', 'joan', ...more]);
  return new GatewayRequest(head, new GatewaySocket(carrier, head));
}

test('req.environ exists whatever prototype a framework gives the request', () => {
  const req = Object.setPrototypeOf(request(), Object.create(IncomingMessage.prototype));
  expect(req.environ.REMOTE_USER).toBe('joan');
  expect(req.environ).toBe(req.environ);
});

test('originalUrl is the requested URL below a mount, and absent at the root', () => {
  const mounted = request('SCRIPT_NAME', '/m', 'PATH_INFO', '/b');
  expect([mounted.url, mounted.baseUrl, mounted.originalUrl]).toEqual(['/b', '/m', '/a']);
  expect(request('SCRIPT_NAME', '', 'PATH_INFO', '/b')).not.toHaveProperty('originalUrl');
});

test('req.environ can be replaced', () => {
  const req = request();
  const other = { REMOTE_USER: 'ada' };
  req.environ = other;
  expect(req.environ).toBe(other);
});

test('requests of other servers have no environ, and may be given one', () => {
  const req = new IncomingMessage(new Socket()) as IncomingMessage & { environ?: unknown };
  expect(req.environ).toBeUndefined();
  expect(Object.keys(req)).not.toContain('environ');
  req.environ = 1;
  expect(req.environ).toBe(1);
});
