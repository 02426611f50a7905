/**
 * Loaded before a test file of a framework (`node --import`): each request of its tests reaches the framework through
 * paster's FastCGI server. A server that listens is a web server then: node:http takes the request and a detour hands
 * it on. So does `light-my-request`, behind Fastify's `inject`, which by itself makes requests up without any server.
 */
import { appendFileSync } from 'node:fs';
import { Server } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { FastcgiDetour } from './fastcgi-detour.js';

let detours = 0;

/** Of each server, or function that `inject` was given. */
const ways = new WeakMap();

function detour(from, listener, req, res) {
  if (!ways.has(from)) ways.set(from, new FastcgiDetour(listener));
  detours++;
  ways.get(from).forward(req, res);
}

const { emit } = Server.prototype;
Server.prototype.emit = function (event, ...args) {
  // The gateway hands over what it carries by this event too.
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

process.on('exit', () => appendFileSync(process.env.PASTER_SUITE_COUNT, `${detours}\n`));
