/**
 * `npm:paster#recursive` (`egg:Paste#recursive`): lets an application hand a request on to another path of what is behind
 * this filter, or ask it for one within its own answer.
 */
import type { IncomingMessage } from 'node:http';
import { defineSettings } from '../config/setting.ts';
import type { MountedRequest } from '../http/mount.ts';
import type { Filter } from '../protocol/types.ts';
import { forward, type Included, type IncludeOptions, include, placeOf } from './internal-request.ts';

export const recursiveSettings = defineSettings(
  {},
  { meaning: 'lets an application forward a request, or include another answer' },
);

/** A request behind the filter. Paths are relative to where the filter stands, and begin with a slash. */
export interface RecursiveRequest extends MountedRequest {
  /**
   * Has another path answer this request, with its method, its headers and what is left of its body; to be returned, or
   * awaited. @throws Error when the answer has begun, or after ten times.
   */
  forward(path: string): unknown;
  /** Another path's whole answer, for a GET with this request's headers. */
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
    const whole = (req: IncomingMessage, res: Parameters<typeof app>[1]): unknown => {
      // What is asked for within passes through here too, and may ask for more.
      const place = placeOf(whole, req);
      const recursiveReq = req as RecursiveRequest;
      recursiveReq.forward = (path) => forward(place, req, res, path);
      recursiveReq.include = (path, options) => include(place, req, path, options);
      return app(req, res);
    };
    return whole;
  };
}
