/**
 * `npm:paster#cascade` (`egg:Paste#cascade`): asks one application after the other until one responds with a status other than
 * 404. Static files can come first, for example, and then the application.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { defineSettings, otherSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { type SettingType, size } from '../../config/settings/setting-types.ts';
import type { Loader } from '../../deploy/compose.ts';
import { ConfigError } from '../../errors.ts';
import { refuseBody } from '../../http/error-response.ts';
import { type AppLike, toApp } from '../../protocol/app.ts';
import { notFound } from '../../protocol/default-handlers.ts';
import { onceOnly, withLifecycle } from '../../protocol/filter.ts';
import { refusesUpgrades } from '../../protocol/shapes/fetch-app.ts';
import type { App, Settings } from '../../protocol/types.ts';
import { BodySpool, replayRequest } from './replayed-request.ts';
import { TentativeResponse, watchUpgrade } from './tentative-response.ts';

const MAX_SPOOL_SIZE = 100 * 2 ** 20;

const statuses: SettingType<readonly number[]> = {
  allowed: 'statuses from 200 to 599, separated by spaces',
  parse(value) {
    return value
      .trim()
      .split(/\s+/)
      .filter((word) => word !== '')
      .map((word) => {
        if (!/^[2-5]\d\d$/.test(word)) throw new Error(`"${word}" is not a status`);
        return Number(word);
      });
  },
};

export const cascadeSettings = defineSettings(
  {
    catch: {
      type: statuses,
      default: [404],
      help: 'Statuses for which the next application is asked.',
      example: '404 405',
    },
    max_spool_size: {
      type: size,
      default: MAX_SPOOL_SIZE,
      help: 'The most bytes of a body that are kept for the next application; the response to a larger body is 413.',
      example: '1G',
    },
  },
  {
    meaning: 'the first application that does not respond with 404',
    others: { accepts: (key) => key.startsWith('app'), help: 'app1, app2, ... and an application' },
  },
);

/** Options of `cascade`. */
export interface CascadeOptions {
  /** The statuses that mean: ask the next one. Default: 404 alone. */
  readonly catch?: readonly number[];
  /** The most bytes of a body that are kept for the next application; the response to a larger body is 413. Default: 100 MiB. */
  readonly maxSpoolSize?: number;
}

/**
 * Makes one application that asks several in turn. If one of them responds with a status of `catch`, or throws an error with such
 * a `status`, its response is dropped and the next one is asked. The response of the last one is always sent.
 *
 * Each gets the request as it came, with its body from the beginning. What has been read of a body is kept in memory up to
 * 64 KiB, and in a temporary file up to `maxSpoolSize`. A response that is not dropped is streamed. For an upgrade, only
 * applications that accept upgrades are asked.
 *
 * @throws ConfigError if there is no application, or if one of them is not an application.
 * @see `paste.cascade.Cascade`
 */
export async function cascade(apps: readonly AppLike[], options: CascadeOptions = {}): Promise<App> {
  const parts: App[] = [];
  for (const app of apps) parts.push(onceOnly(await toApp(app)));
  const front = cascadeOf(parts, options.catch ?? [404], options.maxSpoolSize ?? MAX_SPOOL_SIZE);
  return withLifecycle(front, [...new Set(parts)], front.upgrade);
}

/** Makes the composite of a `[composite:*]` section. */
export async function makeCascade(
  loader: Loader,
  globalConf: Settings,
  settings: SettingsOf<typeof cascadeSettings>,
): Promise<App> {
  const apps: [string, App][] = [];
  for (const [key, name] of otherSettings(cascadeSettings, settings)) {
    apps.push([key, await loader.getApp(name, globalConf)]);
  }
  // By text, as in Paste: app10 comes before app2.
  apps.sort(([one], [other]) => (one < other ? -1 : 1));
  return cascadeOf(
    apps.map(([, app]) => app),
    settings.catch,
    settings.max_spool_size,
  );
}
makeCascade.settings = cascadeSettings;
makeCascade.check = (_globalConf: Settings, settings: SettingsOf<typeof cascadeSettings>): App =>
  cascadeOf(
    otherSettings(cascadeSettings, settings).map(() => notFound),
    settings.catch,
    settings.max_spool_size,
  );

function cascadeOf(apps: readonly App[], caught: readonly number[], maxSpoolSize: number): App {
  const last = apps.at(-1);
  if (!last) {
    throw new ConfigError('PASTER_CASCADE', 'the cascade names no application', {
      hint: 'app1 = name, app2 = name, ...',
    });
  }
  const isCaught = (status: number): boolean => caught.includes(status);
  const front: App = async (req, res) => {
    const body = new BodySpool(req, maxSpoolSize);
    let isTooLarge = false;
    const close = (): void => void body.close().catch(() => {});
    res.once('finish', close).once('close', close);
    // If the client leaves, no other application is asked.
    const hasLeft = new Promise<boolean>((resolve) => res.once('close', () => resolve(true)));
    for (const app of apps.slice(0, -1)) {
      const isAnswered = isAnsweredBy(app, req, res, body, isCaught, () => {
        isTooLarge = true;
      });
      if (res.destroyed || (await Promise.race([isAnswered, hasLeft]))) return;
      if (isTooLarge) {
        await body.close();
        refuseBody(req, res);
        return;
      }
    }
    if (res.destroyed) return;
    // The request is unchanged: the earlier applications got copies of it.
    if (body.isUntouched) return void (await last(req, res));
    body.stopKeeping();
    const { request } = replayRequest(req, body);
    await last(request, Object.assign(res, { req: request }));
  };
  const withUpgrade = apps.filter(({ upgrade }) => upgrade);
  const accepting = withUpgrade.filter((app) => !refusesUpgrades(app));
  const upgrading = accepting.length > 0 ? accepting : withUpgrade;
  const final = upgrading.at(-1);
  if (final) {
    front.upgrade = async (req, socket, head) => {
      for (const app of upgrading.slice(0, -1)) {
        const { request, abandon } = replayRequest(req, new BodySpool(req, maxSpoolSize));
        const isAnswered = watchUpgrade(socket, isCaught);
        await Promise.race([app.upgrade?.(request, socket, head), isAnswered]);
        if (await isAnswered) return;
        abandon();
      }
      await final.upgrade?.(req, socket, head);
    };
  }
  return front;
}

/**
 * Asks an application that is not the last one. Resolves to true when its response goes to the client and its promise, if it
 * returned one, is resolved; to false as soon as its response is dropped.
 * @throws what the application throws, unless its status is caught.
 */
function isAnsweredBy(
  app: App,
  req: IncomingMessage,
  res: ServerResponse,
  body: BodySpool,
  isCaught: (status: number) => boolean,
  tooLarge: () => void,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let isSettled = false;
    const { request, abandon } = replayRequest(req, body);
    const tentative = new TentativeResponse(request, res, {
      isDropped: isCaught,
      decided(state) {
        if (state === 'dropped') {
          abandon();
          resolve(false);
          return;
        }
        body.stopKeeping();
        if (isSettled) resolve(true);
      },
    });
    const dropTooLarge = (): void => {
      tooLarge();
      tentative.drop();
    };
    body.tooLarge = dropTooLarge;
    new Promise((settle) => settle(app(request, tentative.response))).then(
      () => {
        isSettled = true;
        if (tentative.state === 'passed') resolve(true);
      },
      (error: unknown) => {
        // If the response was dropped, the promise has resolved already, and the error has no effect.
        if (tentative.state === 'undecided' && isCaught(statusOf(error))) tentative.drop();
        else reject(error);
      },
    );
  });
}

/** The status of an error, as `http-errors` sets it; 500 if it has none. */
function statusOf(error: unknown): number {
  if (typeof error !== 'object' || error === null) return 500;
  if ('status' in error && typeof error.status === 'number') return error.status;
  return 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
}
