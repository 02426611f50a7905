/** What the development server of a product does under `--reload` with the files of `create .`: pages, edits and hot reload on one port. */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { writeFiles } from '../../helpers/directory.ts';
import { eventually, paster, requireTool, serve } from '../../helpers/programs/program.ts';
import type { Application } from './catalogue.ts';
import { install } from './install.ts';

export interface DevelopmentServer {
  readonly title: string;
  readonly manifest: Readonly<Record<string, unknown>>;
  /** Files besides those of the product. */
  readonly files?: Readonly<Record<string, string>>;
  /** The URL that the client connects to for hot reload. */
  readonly socket: string;
  /** Vite's client script, which contains the token of the hot reload connection. */
  readonly viteClient?: string;
  /** The URL from which the browser loads that file: Vite only reports changes of files that it has served. */
  readonly module?: string;
  /** A file in which the test replaces a text by `Edited`, which the page then shows. */
  readonly edited: string;
  readonly text: string;
}

const ENV = { NEXT_TELEMETRY_DISABLED: '1', NUXT_TELEMETRY_DISABLED: '1', ASTRO_TELEMETRY_DISABLED: '1' };

export function testDevelopmentServer(application: Application, development: DevelopmentServer): void {
  const { title, manifest, files = {}, module, edited, text } = development;
  describe.skipIf(requireTool(application.product) === undefined)(title, () => {
    test('serves pages, edits and its hot reload on one port, as create . writes it', async () => {
      // The development server does not need the product's build.
      const { built: _, below: __, ...unbuilt } = application;
      const cwd = install({ ...unbuilt, manifest });
      writeFiles(cwd, files);
      const { status, stderr } = await paster(['create', '.', '--no-interactive'], { cwd, env: ENV }).finished();
      expect([status, stderr]).toEqual([0, '']);
      const program = await serve(['etc/develop.ini', '--reload', 'http_port=0'], { cwd, env: ENV });
      const page = async (): Promise<string> => {
        const response = await fetch(program.url);
        if (response.headers.has('x-paster-error')) throw new Error(program.output);
        return response.text();
      };
      await eventually(async () => (await page()).includes(text));
      if (module !== undefined) await (await fetch(program.url + module)).text();
      const socket = await hotReloadSocket(program.url, development);
      const messages: string[] = [];
      socket.on('message', (message) => messages.push(String(message)));
      await eventually(() => messages.length > 0);
      const closed = once(socket, 'close');
      const before = messages.length;
      const file = join(cwd, edited);
      writeFileSync(file, readFileSync(file, 'utf8').replace(text, 'Edited'));
      await eventually(async () => (await page()).includes('Edited'));
      await eventually(() => messages.length > before);
      expect((await program.kill('SIGTERM')).status).toBe(0);
      await closed;
      // The edit has not reloaded an INI file, and paster has opened every server of the program.
      expect(program.output).not.toMatch(/reload(?:ed|ing)\b.*\.ini|is not opened/);
    }, 180_000);
  });
}

async function hotReloadSocket(url: string, { socket, viteClient }: DevelopmentServer): Promise<WebSocket> {
  const at = url.replace('http', 'ws') + socket;
  if (viteClient === undefined) return new WebSocket(at);
  const client = await (await fetch(url + viteClient)).text();
  // Hot reload uses the port of the page, unless the client's configuration names another one.
  expect(client).toMatch(/\bhmrPort = (?:null|0 *);/);
  const [, token = ''] = /\bwsToken = "([^"]+)"/.exec(client) ?? [];
  return new WebSocket(`${at}?token=${token}`, 'vite-hmr', { headers: { origin: url } });
}
