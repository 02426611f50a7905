/** `request = POST /internal/cleanup`: a task that sends a request to the application, without a socket. */
import { METHODS } from 'node:http';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { type SettingType, text } from '../../config/settings/setting-types.ts';
import { RunError } from '../../errors.ts';
import { inject } from '../../gateway/inject.ts';
import { partLogger } from '../../log.ts';
import type { App } from '../../protocol/types.ts';
import type { BackgroundObject } from './process-object.ts';

interface RequestLine {
  readonly method: string;
  readonly url: string;
}

const requestLine: SettingType<RequestLine> = {
  allowed: 'a method and a path, such as POST /internal/cleanup',
  parse(value) {
    const [, method = 'GET', url] = /^(?:([A-Z]+)\s+)?(\/\S*)$/.exec(value.trim()) ?? [];
    if (url === undefined) throw new Error(`"${value.trim()}" is not a method and a path`);
    if (!METHODS.includes(method)) throw new Error(`there is no method "${method}"`);
    return { method, url };
  },
};

export const requestTaskSettings = defineSettings(
  {
    request: { type: requestLine, required: true, help: 'The request.', example: 'POST /internal/cleanup' },
    app: { type: text, default: 'main', help: 'The application section that gets it.' },
  },
  { meaning: 'a request to the application, without a socket' },
);

export type RequestTaskSettings = SettingsOf<typeof requestTaskSettings>;

/** @param loadApp loads the application of a section; the task closes it */
export function requestTask(
  { request, app: name }: RequestTaskSettings,
  loadApp: (name: string) => Promise<App>,
): BackgroundObject {
  return {
    async run() {
      const app = await loadApp(name);
      try {
        await app.ready?.();
        const { method, url } = request;
        const sent = { method, url, headers: { host: 'localhost' }, body: undefined };
        const { statusCode, body } = await inject(app, sent, partLogger);
        for await (const _chunk of body);
        if (statusCode < 200 || statusCode >= 400) {
          throw new RunError('PASTER_TASK', `${method} ${url} responded with status ${statusCode}`);
        }
      } finally {
        await app.close?.();
      }
    },
  };
}
requestTask.settings = requestTaskSettings;

/** The application section that a task sends a request to; undefined for a task that sends none. */
export function requestedApp(made: unknown, settings: unknown): string | undefined {
  return made === requestTask ? (settings as RequestTaskSettings).app : undefined;
}
