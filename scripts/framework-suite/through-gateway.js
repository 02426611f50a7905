/**
 * Loaded before a test file of a framework (`node --import`): each request of its tests reaches the framework through paster's
 * FastCGI server. A server that listens becomes a web server: node:http receives the request, and a `FastcgiDetour` forwards it.
 * The same happens to the requests of `light-my-request`, which Fastify's `inject` makes without a server.
 */
import { appendFileSync } from 'node:fs';
import { Server } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { FastcgiDetour } from './fastcgi-detour.js';

let requests = 0;

/** The detour of each server, and of each function that `inject` was given. */
const detours = new WeakMap();

function detour(from, listener, req, res) {
  if (!detours.has(from)) detours.set(from, new FastcgiDetour(listener));
  requests++;
  detours.get(from).forward(req, res);
}

const { emit } = Server.prototype;
Server.prototype.emit = function (event, ...args) {
  // The gateway emits this event too, for the requests that it has received; these have an environment.
  if (event !== 'request' || args[0].environ) return emit.call(this, event, ...args);
  detour(this, (req, res) => emit.call(this, event, req, res), ...args);
  return true;
};

const require = createRequire(join(process.cwd(), 'package.json'));
const path = require.resolve('light-my-request');
const inject = require(path);
require.cache[path].exports = Object.assign(
  (dispatch, ...args) => inject((req, res) => detour(dispatch, dispatch, req, res), ...args),
  inject,
);

process.on('exit', () => appendFileSync(process.env.PASTER_SUITE_COUNT, `${requests}\n`));
