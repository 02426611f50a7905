/** URLs of static files that change with the file's content, as Tornado's `static_url` makes them. */
import { join } from 'node:path';
import { FileVersions } from './file-versions.ts';

/**
 * The URL of a file below the document root: `staticUrl('images/logo.png')` gives `/static/images/logo.png?v=HASH`. A
 * file that is not there has a URL without a version.
 */
export type StaticUrl = (path: string) => string;

/** What `makeStaticUrl` takes. */
export interface StaticUrlOptions {
  /** The directory with the files. */
  readonly documentRoot: string;
  /** Where the browser finds that directory: a path, or `https://host/path`. Default: `/static`. */
  readonly urlPrefix?: string;
  /** False: hash the file at each call, as `debug` does. Default: true, hash it again when it has changed. */
  readonly hashCache?: boolean;
}

/**
 * Makes the function that templates call for the URLs of static files. The hash in the URL is that of the file's content:
 * an unchanged file costs no input or output, a changed one is read once more. `npm:paster#static` lets a browser keep
 * what it gets by such a URL for a year.
 *
 * @see `tornado.web.RequestHandler.static_url`
 */
export function makeStaticUrl(options: StaticUrlOptions): StaticUrl {
  const { documentRoot, urlPrefix = '/static', hashCache = true } = options;
  return versionedUrl(documentRoot, urlPrefix, new FileVersions(documentRoot, hashCache));
}

export function versionedUrl(documentRoot: string, urlPrefix: string, versions: FileVersions): StaticUrl {
  const prefix = urlPrefix.replace(/\/$/, '');
  return (path) => {
    const names = path.split('/').filter((name) => name !== '');
    const url = `${prefix}/${names.map(encodeURIComponent).join('/')}`;
    const version = versions.now(join(documentRoot, ...names));
    return version === undefined ? url : `${url}?v=${version.hash}`;
  };
}
