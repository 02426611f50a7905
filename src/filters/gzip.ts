/**
 * `npm:paster#gzip` (`egg:Paste#gzip`, `npm:paster#compression`): compresses answers, by npm `compression`. What that
 * leaves to others is added here: parts of a file stay as they are, an entity tag says that another coding has other
 * bytes, and what an application writes is on its way before it writes again.
 */
import type { CompressionFilter } from 'compression';
import { defineSettings, int, type OptionsOf, type SettingsOf, size, withDefaults } from '../config/setting.ts';
import { middlewareFilter } from '../protocol/middleware.ts';
import type { Filter, Settings } from '../protocol/types.ts';

export const gzipSettings = defineSettings(
  {
    compress_level: { type: int({ min: 0, max: 9 }), default: 6, help: 'How hard gzip tries: 0 to 9.' },
    brotli_level: { type: int({ min: 0, max: 11 }), default: 4, help: 'How hard Brotli tries: 0 to 11.' },
    threshold: { type: size, default: 1024, help: 'Answers known to be smaller than this stay as they are.' },
  },
  { meaning: 'compresses answers, with Brotli or gzip' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeGzip(_globalConf: Settings, settings: SettingsOf<typeof gzipSettings>): Filter {
  return gzip(settings);
}
makeGzip.settings = gzipSettings;

type Answer = Parameters<CompressionFilter>[1];

/** Answers that the application has compressed itself. */
const CODED = new WeakSet<object>();

/** A filter that compresses what the client takes compressed and what is worth it: text, JSON, SVG and the like. */
export function gzip(options: OptionsOf<typeof gzipSettings> = {}): Filter {
  const { compress_level: level, brotli_level: brotliLevel, threshold } = withDefaults(gzipSettings, options);
  return async (app) => {
    const { default: compression } = await import('compression');
    const { constants } = await import('node:zlib');
    const compress = compression({
      level,
      threshold,
      brotli: { params: { [constants.BROTLI_PARAM_QUALITY]: brotliLevel } },
      filter: (req, res) => isCompressible(res) && compression.filter(req, res),
    });
    return middlewareFilter((req, res, next) => {
      const answer = res as Answer;
      weakenEntityTag(answer);
      compress(req as Parameters<typeof compress>[0], answer, () => {
        flushWrites(answer);
        next();
      });
    })(app);
  };
}

/** A range counts bytes of the file as it is (RFC 9110 section 14.2); 204 and 304 have no body. */
function isCompressible(res: Answer): boolean {
  if (res.hasHeader('content-encoding')) CODED.add(res);
  const isPart = res.statusCode === 206 || res.hasHeader('content-range');
  return !isPart && !CODED.has(res) && res.statusCode !== 204 && res.statusCode !== 304;
}

/** A strong entity tag would say that the bytes are those of the uncompressed answer (RFC 9110 section 8.8.3.3). */
function weakenEntityTag(res: Answer): void {
  const writeHead = res.writeHead as (...args: unknown[]) => Answer;
  // Called once `compression` has decided: it puts its own around this.
  res.writeHead = (...args: unknown[]): Answer => {
    const tag = res.getHeader('etag');
    if (typeof tag === 'string' && tag.startsWith('"') && res.hasHeader('content-encoding') && !CODED.has(res)) {
      res.setHeader('etag', `W/${tag}`);
    }
    return Reflect.apply(writeHead, res, args);
  };
}

/** Compressed bytes wait for more to come; whoever writes now and then wants them read now. */
function flushWrites(res: Answer): void {
  const { write } = res;
  let isScheduled = false;
  res.write = function writeAndFlush(this: Answer, ...args: unknown[]): boolean {
    if (!isScheduled) {
      isScheduled = true;
      setImmediate(() => {
        isScheduled = false;
        if (!res.writableEnded && !res.destroyed) res.flush();
      });
    }
    return Reflect.apply(write, this, args);
  };
}
