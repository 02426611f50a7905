/** `npm:paster#security_headers`: response headers that switch on protections in browsers, by `helmet`. */
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { bool, int, oneOf, type SettingType } from '../../config/settings/setting-types.ts';
import { middlewareFilter } from '../../protocol/middleware.ts';
import type { Filter, Settings } from '../../protocol/types.ts';

type Directives = Readonly<Record<string, readonly string[]>>;

/** A policy as the header has it; `default` is helmet's, `off` sends none. */
const securityPolicy: SettingType<Directives | 'default' | 'off'> = {
  allowed: 'default, off, or directives as the header has them, separated by ";"',
  parse(value) {
    const trimmed = value.trim();
    if (trimmed === 'default' || trimmed === 'off') return trimmed;
    const directives: Record<string, readonly string[]> = Object.create(null);
    for (const each of trimmed.split(';')) {
      const [name, ...sources] = each.trim().split(/\s+/);
      if (name === undefined || name === '') continue;
      if (!/^[a-zA-Z-]+$/.test(name)) throw new Error(`"${name}" is not the name of a directive`);
      if (name.toLowerCase() in directives) throw new Error(`"${name}" is given twice`);
      directives[name.toLowerCase()] = sources;
    }
    if (Object.keys(directives).length === 0) throw new Error('it is empty');
    return directives;
  },
};

const REFERRER_POLICIES = [
  'no-referrer',
  'no-referrer-when-downgrade',
  'same-origin',
  'origin',
  'strict-origin',
  'origin-when-cross-origin',
  'strict-origin-when-cross-origin',
  'unsafe-url',
] as const;

export const securityHeadersSettings = defineSettings(
  {
    content_security_policy: {
      type: securityPolicy,
      default: 'default',
      help: 'Where a page may load from: default (scripts and all but images from here), off, or the policy.',
      example: "default-src 'self'; img-src 'self' data:",
    },
    report_only: { type: bool, default: false, help: 'Browsers report violations of the policy and forbid nothing.' },
    hsts_max_age: {
      type: int({ min: 0, max: 315_360_000 }),
      default: 31_536_000,
      help: 'Seconds for which a browser is to use https alone, once it has; 0: the header is not sent.',
    },
    hsts_include_subdomains: { type: bool, default: true, help: 'Apply it to subdomains too.' },
    hsts_preload: { type: bool, default: false, help: 'Ask browsers to put the host on their preload lists.' },
    frame_options: {
      type: oneOf('sameorigin', 'deny', 'off'),
      default: 'sameorigin',
      help: 'Who may show a page in a frame.',
    },
    referrer_policy: {
      type: oneOf(...REFERRER_POLICIES, 'off'),
      default: 'no-referrer',
      help: 'What other sites learn about the page that a visitor comes from.',
    },
    cross_origin_opener_policy: {
      type: oneOf('same-origin', 'same-origin-allow-popups', 'unsafe-none', 'off'),
      default: 'same-origin',
      help: 'Which windows share a process with a page.',
    },
    cross_origin_resource_policy: {
      type: oneOf('same-origin', 'same-site', 'cross-origin', 'off'),
      default: 'same-origin',
      help: 'Which sites may embed what is here.',
    },
    cross_origin_embedder_policy: {
      type: oneOf('require-corp', 'credentialless', 'unsafe-none', 'off'),
      default: 'off',
      help: 'What a page may embed from elsewhere.',
    },
  },
  { meaning: 'headers that tell a browser to be careful' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeSecurityHeaders(
  _globalConf: Settings,
  settings: SettingsOf<typeof securityHeadersSettings>,
): Filter {
  return securityHeaders(settings);
}
makeSecurityHeaders.settings = securityHeadersSettings;

/** A filter that adds Content-Security-Policy, Strict-Transport-Security and similar headers to every response. */
export function securityHeaders(options: OptionsOf<typeof securityHeadersSettings> = {}): Filter {
  const settings = withDefaults(securityHeadersSettings, options);
  const { content_security_policy: csp, report_only: reportOnly } = settings;
  return async (app) => {
    const { default: helmet } = await import('helmet');
    const middleware = helmet({
      contentSecurityPolicy:
        csp === 'off'
          ? false
          : csp === 'default'
            ? { reportOnly }
            : { reportOnly, useDefaults: false, directives: csp as Record<string, Iterable<string>> },
      strictTransportSecurity: settings.hsts_max_age > 0 && {
        maxAge: settings.hsts_max_age,
        includeSubDomains: settings.hsts_include_subdomains,
        preload: settings.hsts_preload,
      },
      xFrameOptions: unlessOff(settings.frame_options, (action) => ({ action })),
      referrerPolicy: unlessOff(settings.referrer_policy, (each) => ({ policy: each })),
      crossOriginOpenerPolicy: unlessOff(settings.cross_origin_opener_policy, (each) => ({ policy: each })),
      crossOriginResourcePolicy: unlessOff(settings.cross_origin_resource_policy, (each) => ({ policy: each })),
      crossOriginEmbedderPolicy: unlessOff(settings.cross_origin_embedder_policy, (each) => ({ policy: each })),
    });
    return middlewareFilter(middleware)(app);
  };
}

/** helmet's options for a header, or false, which omits the header, if the setting is `off`. */
function unlessOff<T extends string, O>(value: T, options: (value: Exclude<T, 'off'>) => O): O | false {
  return value === 'off' ? false : options(value as Exclude<T, 'off'>);
}
