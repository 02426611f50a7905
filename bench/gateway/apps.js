/** The applications that are measured: the same functions on every server, as paster loads them and as node:http calls them. */
import { setTimeout as pause } from 'node:timers/promises';

const MEGABYTE = Buffer.alloc(2 ** 20, 'x');

/** @type {Record<string, () => (req: any, res: any) => unknown>} */
const APPS = {
  hello: () => (_req, res) => {
    res.setHeader('Content-Type', 'text/plain');
    res.end('Hello World\n');
  },
  megabyte: () => (_req, res) => {
    res.setHeader('Content-Type', 'application/octet-stream');
    res.end(MEGABYTE);
  },
  /** Reads a body more slowly than it arrives. */
  slow: () => async (req, res) => {
    let length = 0;
    let pieces = 0;
    for await (const chunk of req) {
      length += chunk.length;
      if (++pieces % 8 === 0) await pause(1);
    }
    res.end(`${length}\n`);
  },
  /** The process's own memory; without garbage if Node runs with --expose-gc. */
  memory: () => (_req, res) => {
    globalThis.gc?.();
    globalThis.gc?.();
    res.end(`${process.memoryUsage.rss()}\n`);
  },
};

export const NAMES = [...Object.keys(APPS), 'express'];

/** @param {string} name */
export async function makeApp(name) {
  if (name !== 'express') return APPS[name]();
  const { default: express } = await import('express');
  const app = express();
  app.get('/*path', (_req, res) => {
    res.type('text/plain').send('Hello World\n');
  });
  return app;
}

/** Paste's factory, for `use = call:.../apps.js:make`. */
export function make(_globalConf, { app }) {
  return makeApp(app);
}

/** A filter that does nothing. */
export function makeEmptyFilter() {
  return (app) => (req, res) => app(req, res);
}

/** A composite that returns the application `app`, and only loads the one that `beside` names. */
export async function makeFirst(loader, globalConf, { app, beside }) {
  await loader.getApp(beside, globalConf);
  return loader.getApp(app, globalConf);
}
