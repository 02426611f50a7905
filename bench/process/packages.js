/** Saving a module of an application that imports 1,450 modules of packages: what is evaluated again counts, not what is installed. */
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../measure/program.js';
import { median, roundsOf, spread, takeTurns } from '../measure/rounds.js';
import { installed, ratioRow, saveEdits } from './edits.js';
import { bareServer, inDirectory, iniFile, serve } from './site.js';

const ROUNDS = roundsOf(4);
/** The most that paster's time may be, as a multiple of nodemon's and of that of Vite's module runner. */
const GOALS = { nodemon: 0.15, vite: 2.5 };

const PACKAGES = {
  express: '5.3.0',
  '@aws-sdk/client-s3': '3.1175.0',
  '@aws-sdk/client-dynamodb': '3.1169.0',
  '@apollo/server': '5.5.1',
  stripe: '23.1.0',
  'drizzle-orm': '0.45.4',
  zod: '4.6.7',
  lodash: '4.18.1',
  pino: '10.4.0',
  graphql: '16.15.0',
  'date-fns': '4.4.0',
  nodemon: '3.1.14',
  vite: '8.4.0',
};

const APP = `import express from 'express';
import { S3Client } from '@aws-sdk/client-s3';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { ApolloServer } from '@apollo/server';
import Stripe from 'stripe';
import { sql } from 'drizzle-orm';
import { z } from 'zod';
import lodash from 'lodash';
import pino from 'pino';
import { graphql } from 'graphql';
import { format } from 'date-fns';
import { text } from './text.js';

const app = express();
app.get('/', (req, res) => res.send(text));
export default app;
`;

const VITE = (port) => `import { createServer } from 'node:http';
import { createServer as createVite, createServerModuleRunner } from 'vite';

const server = { middlewareMode: true, hmr: false, ws: false };
const vite = await createVite({ root: process.cwd(), configFile: false, appType: 'custom', logLevel: 'error', server });
const runner = createServerModuleRunner(vite.environments.ssr);
createServer(async (req, res) => (await runner.import('/app.js')).default(req, res)).listen(${port}, '127.0.0.1');
`;

/** @returns {Promise<import('../report/table.js').Row[]>} */
export async function reloadingPackages() {
  const modules = installed('paster-bench-packages', PACKAGES);
  if (!modules) {
    return [
      { what: 'an application with packages', figure: 'npm cannot install them', goal: '', met: undefined, detail: '' },
    ];
  }
  return inDirectory({}, async (directory) => {
    const port = await freePort();
    symlinkSync(modules, join(directory, 'node_modules'));
    const files = { 'app.js': APP, 'x.ini': iniFile(port), 'server.js': bareServer(port), 'vite.js': VITE(port) };
    for (const [name, source] of Object.entries(files)) writeFileSync(join(directory, name), source);
    const text = join(directory, 'text.js');
    const nodemon = [process.execPath, join(modules, 'nodemon/bin/nodemon.js'), '-q', 'server.js'];
    const found = await takeTurns(
      {
        paster: () => saveEdits(serve('x.ini', '--reload'), port, text, { hurries: true }),
        nodemon: () => saveEdits(nodemon, port, text, { hurries: true }),
        // It misses some of two edits that are so close together.
        'Vite’s module runner': () => saveEdits([process.execPath, 'vite.js'], port, text),
      },
      ROUNDS,
    );
    const times = Object.fromEntries(
      Object.entries(found).map(([name, rounds]) => [name, rounds.flatMap((each) => each.times)]),
    );
    const [ours, theirs, vite] = Object.values(times).map((each) => median(each));
    const failed = found.paster.reduce((sum, round) => sum + round.failed, 0);
    return [
      ...Object.entries(times).map(([name, each]) => ({
        what: `${name === 'paster' ? '' : '  '}1,450 modules of packages, ${name}: from saving to the first new response`,
        figure: `${median(each).toFixed(0)} ms`,
        goal: '',
        met: undefined,
        detail: spread(each),
      })),
      ratioRow('nodemon', ours / theirs, GOALS.nodemon),
      ratioRow('Vite’s module runner', ours / vite, GOALS.vite),
      hurriedRow(found, 'second', 'the second of two edits 60 ms apart'),
      hurriedRow(found, 'next', 'an edit right after a new version has responded'),
      memoryRow(found.paster.flatMap(({ memory }) => memory)),
      { what: 'the same, paster: failed requests', figure: String(failed), goal: '0', met: failed === 0, detail: '' },
    ];
  });
}

/** The row for an edit that comes so soon that paster has imported nothing ahead. */
function hurriedRow(found, key, what) {
  const [ours, theirs] = [found.paster, found.nodemon].map((rounds) => rounds.map((round) => round[key]));
  return {
    what: `the same, paster: ${what}`,
    figure: `${median(ours).toFixed(0)} ms`,
    goal: '',
    met: undefined,
    detail: `${spread(ours)}; nodemon ${spread(theirs)}`,
  };
}

function memoryRow(found) {
  const [spare, worker] = ['spare worker', 'worker'].map((kind) => found.map((memory) => memory[kind]));
  return {
    what: 'the same, paster: memory of the spare worker / that of the worker',
    figure: (median(spare) / median(worker)).toFixed(2),
    goal: '<= 1',
    met: median(spare) <= median(worker),
    detail: `${spread(spare, 'MiB')} to ${spread(worker, 'MiB')}`,
  };
}
