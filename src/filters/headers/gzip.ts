/**
 * `npm:paster#gzip` (`egg:Paste#gzip`, `npm:paster#compression`): compresses responses, by npm `compression`. This file adds
 * what the package leaves to its users: ranges of a file are not compressed, a strong entity tag of the uncompressed bytes
 * becomes weak, and each write is flushed so that the client gets it without waiting for the next one.
 */
import type { CompressionFilter } from 'compression';
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { int, size } from '../../config/settings/setting-types.ts';
import { middlewareFilter } from '../../protocol/middleware.ts';
import type { Filter, Settings } from '../../protocol/types.ts';

export const gzipSettings = defineSettings(
  {
    compress_level: { type: int({ min: 0, max: 9 }), default: 6, help: 'Compression level of gzip, 0 to 9.' },
    brotli_level: { type: int({ min: 0, max: 11 }), default: 4, help: 'Compression level of Brotli, 0 to 11.' },
    threshold: { type: size, default: 1024, help: 'Responses known to be smaller than this stay as they are.' },
  },
  { meaning: 'compresses responses, with Brotli or gzip' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeGzip(_globalConf: Settings, settings: SettingsOf<typeof gzipSettings>): Filter {
  return gzip(settings);
}
makeGzip.settings = gzipSettings;

type CompressibleResponse = Parameters<CompressionFilter>[1];

/** Responses that the application has encoded itself. */
const ENCODED_BY_APP = new WeakSet<object>();

/** A filter that compresses text, JSON, SVG and the like if the client accepts it. */
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
      const response = res as CompressibleResponse;
      weakenEntityTag(response);
      compress(req as Parameters<typeof compress>[0], response, () => {
        flushWrites(response);
        next();
      });
    })(app);
  };
}

/** A range counts the bytes of the uncompressed file (RFC 9110 section 14.2); 204 and 304 have no body. */
function isCompressible(res: CompressibleResponse): boolean {
  if (res.hasHeader('content-encoding')) ENCODED_BY_APP.add(res);
  const isRange = res.statusCode === 206 || res.hasHeader('content-range');
  return !isRange && !ENCODED_BY_APP.has(res) && res.statusCode !== 204 && res.statusCode !== 304;
}

/** A strong entity tag would promise the bytes of the uncompressed response (RFC 9110 section 8.8.3.3). */
function weakenEntityTag(res: CompressibleResponse): void {
  const writeHead = res.writeHead as (...args: unknown[]) => CompressibleResponse;
  // `compression` wraps this function and calls it once it has decided whether to compress.
  const writeWeakTag = (...args: unknown[]): CompressibleResponse => {
    const tag = res.getHeader('etag');
    if (
      typeof tag === 'string' &&
      tag.startsWith('"') &&
      res.hasHeader('content-encoding') &&
      !ENCODED_BY_APP.has(res)
    ) {
      res.setHeader('etag', `W/${tag}`);
    }
    return Reflect.apply(writeHead, res, args);
  };
  res.writeHead = writeWeakTag;
}

/** The compressor buffers its output; without a flush, an application that writes now and then would not reach the client. */
function flushWrites(res: CompressibleResponse): void {
  const { write } = res;
  let isScheduled = false;
  function writeAndFlush(this: CompressibleResponse, ...args: unknown[]): boolean {
    if (!isScheduled) {
      isScheduled = true;
      setImmediate(() => {
        isScheduled = false;
        if (!res.writableEnded && !res.destroyed) res.flush();
      });
    }
    return Reflect.apply(write, this, args);
  }
  res.write = writeAndFlush;
}
