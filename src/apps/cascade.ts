/**
 * `npm:paster#cascade` (`egg:Paste#cascade`): asks one application after the other until one does not answer 404, such as
 * static files first and the application behind them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { defineSettings, otherSettings, type SettingsOf, type SettingType, size } from '../config/setting.ts';
import type { Loader } from '../deploy/compose.ts';
import { ConfigError } from '../errors.ts';
import { BodySpool } from '../http/body-spool.ts';
import { holdResponse } from '../http/held-response.ts';
import { holdUpgrade } from '../http/held-upgrade.ts';
import { refuseBody } from '../http/refuse-body.ts';
import { repeatRequest } from '../http/repeated-request.ts';
import { type AppLike, toApp } from '../protocol/app.ts';
import { onceOnly, withLifecycle } from '../protocol/filter.ts';
import { notFound } from '../protocol/not-found.ts';
import type { App, Settings } from '../protocol/types.ts';

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
      help: 'The statuses that mean: ask the next one.',
      example: '404 405',
    },
    max_spool_size: {
      type: size,
      default: MAX_SPOOL_SIZE,
      help: 'The most bytes of a body that are kept for the next application; a larger body is answered with 413.',
      example: '1G',
    },
  },
  {
    meaning: 'the first application that does not answer 404',
    others: { accepts: (key) => key.startsWith('app'), help: 'app1, app2, ... and an application' },
  },
);

/** Options of `cascade`. */
export interface CascadeOptions {
  /** The statuses that mean: ask the next one. Default: 404 alone. */
  readonly catch?: readonly number[];
  /** The most bytes of a body that are kept for the next application; a larger body is answered with 413. Default: 100 MiB. */
  readonly maxSpoolSize?: number;
}

/**
 * One application that asks several in turn: where one answers with a status of `catch`, or throws an error of such a
 * `status`, nothing of it goes out and the next one is asked. The answer of the last is final.
 *
 * Each is given the request as it came, with its body from the beginning; what has been read of a body is kept in memory up
 * to 64 KiB and in a temporary file beyond, up to `maxSpoolSize`. An answer that is not caught goes out as it comes. An upgrade goes through
 * those applications that take upgrades.
 *
 * @throws ConfigError where there is none, and for what is no application.
 * @see `paste.cascade.Cascade`
 */
export async function cascade(apps: readonly AppLike[], options: CascadeOptions = {}): Promise<App> {
  const parts: App[] = [];
  for (const app of apps) parts.push(onceOnly(await toApp(app)));
  return withLifecycle(cascadeOf(parts, options.catch ?? [404], options.maxSpoolSize ?? MAX_SPOOL_SIZE), [
    ...new Set(parts),
  ]);
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
  // In the order of the texts, as Paste has it: app10 comes before app2.
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
    throw new ConfigError('PASTER_CASCADE', 'a cascade of no applications', { hint: 'app1 = name, app2 = name, ...' });
  }
  const isCaught = (status: number): boolean => caught.includes(status);
  const front: App = async (req, res) => {
    const body = new BodySpool(req, maxSpoolSize);
    let isTooLarge = false;
    const close = (): void => void body.close().catch(() => {});
    res.once('finish', close).once('close', close);
    // The client has left: nobody else is to be asked.
    const isLeft = new Promise<boolean>((resolve) => res.once('close', () => resolve(true)));
    for (const app of apps.slice(0, -1)) {
      const isAnswered = isAnsweredBy(app, req, res, body, isCaught, () => {
        isTooLarge = true;
      });
      if (res.destroyed || (await Promise.race([isAnswered, isLeft]))) return;
      if (isTooLarge) {
        await body.close();
        refuseBody(req, res);
        return;
      }
    }
    if (res.destroyed) return;
    // As it came: whoever was asked before had a request of its own.
    if (body.isUntouched) return void (await last(req, res));
    body.keepNoMore();
    const { request } = repeatRequest(req, body);
    await last(request, Object.assign(res, { req: request }));
  };
  const upgrading = apps.filter(({ upgrade }) => upgrade);
  const final = upgrading.at(-1);
  if (final) {
    front.upgrade = async (req, socket, head) => {
      for (const app of upgrading.slice(0, -1)) {
        const { request, letGo } = repeatRequest(req, new BodySpool(req, maxSpoolSize));
        const isTaken = holdUpgrade(socket, isCaught);
        await Promise.race([app.upgrade?.(request, socket, head), isTaken]);
        if (await isTaken) return;
        letGo();
      }
      await final.upgrade?.(req, socket, head);
    };
  }
  return front;
}

/**
 * Asks an application that is not the last one. Resolves when it has answered, and its promise, if it returned one, is
 * kept; to false as soon as its answer is dropped.
 * @throws what it throws, unless that is caught.
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
    const { request, letGo } = repeatRequest(req, body);
    const held = holdResponse(request, res, {
      isDropped: isCaught,
      decided(state) {
        if (state === 'dropped') {
          letGo();
          resolve(false);
          return;
        }
        body.keepNoMore();
        if (isSettled) resolve(true);
      },
    });
    body.tooLarge = () => {
      tooLarge();
      held.drop();
    };
    new Promise((settle) => settle(app(request, held.response))).then(
      () => {
        isSettled = true;
        if (held.state === 'passed') resolve(true);
      },
      (error: unknown) => {
        // Of one that is out of the game already nobody wants to know.
        if (held.state === 'undecided' && isCaught(statusOf(error))) held.drop();
        else reject(error);
      },
    );
  });
}

/** The status that an error stands for, as http-errors and what follows them say it. */
function statusOf(error: unknown): number {
  if (typeof error !== 'object' || error === null) return 500;
  if ('status' in error && typeof error.status === 'number') return error.status;
  return 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
}
