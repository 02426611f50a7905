/**
 * `npm:paster#session`: `req.session`, an object stored in a signed cookie, by npm `cookie-session`. The client can read it
 * but cannot change it. All workers share the sessions, and sessions survive a restart.
 */
import { asList } from '../../config/settings/convert.ts';
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { int, oneOf, type SettingType, secret, text } from '../../config/settings/setting-types.ts';
import { middlewareFilter } from '../../protocol/middleware.ts';
import type { Filter, Settings } from '../../protocol/types.ts';

/** A token, as in RFC 6265 section 4.1.1. */
const cookieName: SettingType<string> = {
  allowed: "letters, digits and !#$%&'*+-.^_`|~",
  parse(value) {
    if (!/^[!#$%&'*+.^`|~\w-]+$/.test(value)) throw new Error(`"${value}" cannot be the name of a cookie`);
    return value;
  },
};

const secrets: SettingType<readonly string[]> = {
  secret: true,
  allowed: `secrets separated by spaces or line ends, each of ${secret.allowed}`,
  parse: (value) => asList(value).map((word) => secret.parse(word)),
};

const IN_THE_COOKIE = 'the session is stored in the cookie, not in a file';

export const sessionSettings = defineSettings(
  {
    secret: { type: secret, required: true, help: 'Signs the cookie.', example: '%(ENV_SESSION_SECRET)s' },
    old_secrets: {
      type: secrets,
      default: [] as readonly string[],
      help: 'Earlier secrets: cookies signed with them are still valid, and get the new signature when they are read.',
    },
    cookie_name: {
      type: cookieName,
      default: 'session',
      help: 'The name of the cookie; its signature’s ends in .sig.',
    },
    max_age: {
      type: int({ min: 1, max: 315_360_000 }),
      help: 'Seconds for which a browser keeps the cookie; without it, until the browser is closed.',
    },
    same_site: {
      type: oneOf('lax', 'strict', 'none'),
      default: 'lax',
      help: 'Which pages may send the cookie with their requests.',
    },
    path: { type: text, default: '/', help: 'The path below which the cookie is sent.' },
    domain: { type: text, help: 'The domain that the cookie is for; without it, this host alone.' },
  },
  {
    meaning: 'req.session, kept in a signed cookie',
    obsolete: {
      session_expiration: 'see max_age, in seconds',
      expiration: IN_THE_COOKIE,
      session_file_path: IN_THE_COOKIE,
      chmod: IN_THE_COOKIE,
    },
  },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeSession(_globalConf: Settings, settings: SettingsOf<typeof sessionSettings>): Filter {
  return session(settings);
}
makeSession.settings = sessionSettings;

/**
 * A filter that gives requests a `session`. The cookie is HttpOnly, and Secure if the request came over TLS (with
 * `proxy_headers` in front: to the proxy). A handler of upgrades can read the session, but its changes are not stored.
 */
export function session(options: OptionsOf<typeof sessionSettings>): Filter {
  const settings = withDefaults(sessionSettings, options);
  return async (app) => {
    const { default: cookieSession } = await import('cookie-session');
    const { default: Keygrip } = await import('keygrip');
    const middleware = cookieSession({
      name: settings.cookie_name,
      // cookie-session's own default is HMAC-SHA1.
      keys: new Keygrip([settings.secret, ...settings.old_secrets], 'sha256'),
      httpOnly: true,
      sameSite: settings.same_site,
      path: settings.path,
      ...(settings.domain === undefined ? {} : { domain: settings.domain }),
      ...(settings.max_age === undefined ? {} : { maxAge: settings.max_age * 1000 }),
    });
    const filter = middlewareFilter(middleware as Parameters<typeof middlewareFilter>[0]);
    const withSession = filter(app);
    const { upgrade } = app;
    if (upgrade) {
      withSession.upgrade = (req, socket, head) => {
        // An upgrade has no response, but the middleware needs one: this one is never sent.
        const { ServerResponse } = process.getBuiltinModule('node:http');
        return filter(() => upgrade.call(app, req, socket, head))(req, new ServerResponse(req));
      };
    }
    return withSession;
  };
}
