/**
 * `npm:paster#recursive` (`egg:Paste#recursive`): lets an application forward a request to another path behind this filter, or
 * include the response of another path in its own.
 */
import type { IncomingMessage } from 'node:http';
import { defineSettings } from '../../config/settings/setting.ts';
import type { MountedRequest } from '../../http/mount.ts';
import type { Filter } from '../../protocol/types.ts';
import { filterMountOf, forward, type Included, type IncludeOptions, include } from './internal-request.ts';

export const recursiveSettings = defineSettings(
  {},
  { meaning: 'lets an application forward a request, or include another response' },
);

/** A request behind the filter. Paths are relative to the filter's mount, and begin with a slash. */
export interface RecursiveRequest extends MountedRequest {
  /**
   * Forwards this request to another path, with its method, its headers and the rest of its body. Return the result, or await it.
   * @throws Error if the response has begun, or if the request has been forwarded ten times already.
   */
  forward(path: string): unknown;
  /** Resolves to the whole response of another path to a GET with this request's headers. */
  include(path: string, options?: IncludeOptions): Promise<Included>;
}

/** Makes the filter of a `[filter:*]` section. */
export function makeRecursive(): Filter {
  return recursive();
}
makeRecursive.settings = recursiveSettings;

/** A filter that makes each request a `RecursiveRequest`. */
export function recursive(): Filter {
  return (app) => {
    const recursiveApp = (req: IncomingMessage, res: Parameters<typeof app>[1]): unknown => {
      // Internal requests pass through this filter too, so they may make further ones.
      const mount = filterMountOf(recursiveApp, req);
      const methods: Pick<RecursiveRequest, 'forward' | 'include'> = {
        forward: (path) => forward(mount, req, res, path),
        include: (path, options) => include(mount, req, path, options),
      };
      return app(Object.assign(req, methods), res);
    };
    return recursiveApp;
  };
}
