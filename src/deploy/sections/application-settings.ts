/** `mount` and `environment`, settings of every application's section that paster itself reads. The factory does not get them. */
import { variables } from '../../config/env-file.ts';
import { nearest } from '../../config/nearest.ts';
import { defineSettings } from '../../config/settings/setting.ts';
import { oneOf } from '../../config/settings/setting-types.ts';
import { applyConvention, type MountConvention } from '../../http/mount.ts';
import type { App } from '../../protocol/types.ts';
import { type Context, type FactoryContext, settingsOf } from '../context.ts';
import { declaredSchema } from '../schema.ts';
import { validateWith } from '../validate.ts';
import { ENVIRONMENT, MOUNT } from './section-config.ts';

const CONVENTIONS = ['stripped', 'whole', 'express', 'proxied'] as const satisfies readonly MountConvention[];

export const applicationSettings = defineSettings({
  [MOUNT]: {
    type: oneOf(...CONVENTIONS),
    default: 'stripped',
    help: 'Which path an application gets below a prefix. stripped: req.url is the rest and req.baseUrl the prefix. whole: req.url is the path as the client sent it, for a framework with a base path of its own. express: as stripped, and req.originalUrl is the whole path. proxied: req.url and req.originalUrl are the rest, as behind a proxy that removes the prefix, for a program that has the prefix in its own configuration.',
    example: 'whole',
  },
  [ENVIRONMENT]: {
    type: variables,
    help: 'Environment variables of the application’s processes, one per line, also in [DEFAULT]. Those of the server’s section override them.',
    example: 'TZ=Europe/Berlin',
  },
});

/**
 * Separates these settings from those of an application's factory. `environment` was applied before the application's code was
 * imported.
 *
 * @param made the factory, or the finished application
 * @throws ConfigError for a value that is not allowed. A factory without declared settings may have settings of these names: such a
 *   factory gets values that do not resemble the allowed ones.
 */
export async function takeApplicationSettings(
  context: FactoryContext,
  made: unknown,
): Promise<{ readonly mount: MountConvention; readonly context: FactoryContext }> {
  const taken = settingsOf({});
  const localConf = settingsOf(context.localConf);
  for (const [key, isMeant] of [
    [MOUNT, isConvention],
    [ENVIRONMENT, namesVariables],
  ] as const) {
    const value = localConf[key];
    if (context.kind !== 'app' || value === undefined || isOwn(key, made, context, isMeant(value))) continue;
    taken[key] = value;
    delete localConf[key];
  }
  const { mount } = (await validateWith(applicationSettings, taken, context)) as { readonly mount: MountConvention };
  return { mount, context: { ...context, localConf } };
}

/** Whether the setting is the factory's own. */
function isOwn(key: string, made: unknown, { protocol }: FactoryContext, isMeant: boolean): boolean {
  const schema = declaredSchema(made);
  return schema ? key in schema.declarations : protocol !== 'object' && !isMeant;
}

/** Whether a value of `environment` begins with a line NAME=value, and so is not the name of an environment such as `staging`. */
export function namesVariables(value: string): boolean {
  return /^\s*[A-Za-z_]\w*=/.test(value);
}

function isConvention(value: string): boolean {
  return nearest(value.trim(), CONVENTIONS) !== undefined || CONVENTIONS.some((each) => each === value.trim());
}

/** The application, called by this convention. */
export function withConvention(app: App, convention: MountConvention): App {
  if (convention === 'stripped') return app;
  const mounted: App = (req, res) => {
    applyConvention(req, convention);
    return app(req, res);
  };
  Object.assign(mounted, app);
  if (app.upgrade) {
    mounted.upgrade = (req, socket, head) => {
      applyConvention(req, convention);
      return app.upgrade?.(req, socket, head);
    };
  }
  return mounted;
}

/** Whether the application behind all filters gets the whole path. */
export function getsWholePath(context: Context): boolean {
  switch (context.form) {
    case 'factory':
      return context.localConf[MOUNT]?.trim() === 'whole';
    case 'pipeline':
      return getsWholePath(context.app);
    case 'filter-app':
    case 'filter-with':
      return getsWholePath(context.next);
  }
}
