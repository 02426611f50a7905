/** What `export` can write: each target by name, as files of text. */
import { apacheSite } from './apache.ts';
import { caddySite } from './caddy.ts';
import type { Deployment } from './deployment.ts';
import { haproxySite } from './haproxy.ts';
import { lighttpdSite } from './lighttpd.ts';
import { nginxSite } from './nginx.ts';
import { type Site, type SiteOptions, siteOf } from './site.ts';

/** What stands in a file; its name is for targets that have several. */
export interface ExportedFile {
  readonly name: string;
  readonly text: string;
}

const SITES: Readonly<Record<string, (site: Site) => string>> = {
  nginx: nginxSite,
  lighttpd: lighttpdSite,
  apache: apacheSite,
  caddy: caddySite,
  haproxy: haproxySite,
};

/** The names, in the order of the help. */
export const TARGETS: readonly string[] = Object.keys(SITES);

export interface ExportOptions extends SiteOptions {}

export interface Exported {
  readonly files: readonly ExportedFile[];
  /** The directory that has to be there when the web server starts. */
  readonly stateDir: string | undefined;
}

/** @throws UsageError for a combination that the target cannot express. */
export function exportTarget(target: string, deployment: Deployment, options: ExportOptions): Exported {
  const site = siteOf(target, deployment, options);
  const text = SITES[target]?.(site) ?? '';
  return {
    files: [
      { name: target, text: `# Made by paster export ${target} of ${JSON.stringify(deployment.file)}\n${text}\n` },
    ],
    stateDir: site.stateDir,
  };
}
