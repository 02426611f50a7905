/** A filter in front of an application on node:http, made as from a section of an INI file. */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import type { Declarations, SettingsSchema, SettingValues } from '../../src/config/settings/setting.ts';
import { callApp } from '../../src/http/error-response.ts';
import { lineLogger } from '../../src/log.ts';
import { applyFilter } from '../../src/protocol/filter.ts';
import type { App, Filter, Settings } from '../../src/protocol/types.ts';
import { whenOver } from '../helpers/programs/lifetime.ts';

/** The settings of a section. */
export function settingsFrom<D extends Declarations>(schema: SettingsSchema<D>, section: Settings): SettingValues<D> {
  const result = schema['~standard'].validate(section);
  if (!('value' in result)) throw new Error(JSON.stringify(result.issues));
  return result.value;
}

export interface Served {
  readonly url: string;
  /** What the server itself has logged about errors. */
  readonly failures: string[];
}

/** The first filter is the outermost, as in a pipeline. */
export async function serveFiltered(filters: Filter | readonly Filter[], app: App): Promise<Served> {
  let filtered = app;
  for (const filter of [filters].flat().reverse()) filtered = await applyFilter(filter as Filter, filtered);
  const failures: string[] = [];
  const log = lineLogger('error', (line) => failures.push(line));
  return { url: await listen((req, res) => callApp(filtered, req, res, log)), failures };
}

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The lines that a filter writes. */
export class Lines {
  readonly all: string[] = [];
  readonly write = (line: string): void => void this.all.push(line);

  /** Waits for this number of lines. @returns all lines, which may be more */
  async atLeast(count: number): Promise<string[]> {
    await expect.poll(() => this.all.length, { timeout: 10_000, interval: 5 }).toBeGreaterThanOrEqual(count);
    return this.all;
  }
}
