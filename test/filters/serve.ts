/** An application behind filters that an INI file names, on a real server; the first filter is the outermost. */
import { loadFilter, loadServer } from '../../src/deploy/load.ts';
import type { App } from '../../src/protocol/types.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { whenOver } from '../helpers/programs/lifetime.ts';

export interface Served {
  readonly url: string;
  /** The directory of the INI file. */
  readonly directory: string;
}

export interface ServeSettings {
  /** Files next to the INI file. */
  readonly files?: Readonly<Record<string, string>>;
  /** The settings of `[server:main]`. */
  readonly server?: string;
}

/** @param sections the text below the header of each filter's section */
export async function serveThrough(
  sections: readonly string[],
  app: App,
  { files = {}, server = 'host = 127.0.0.1\nport = 0' }: ServeSettings = {},
): Promise<Served> {
  const ini = sections.map((text, index) => `[filter:f${index}]\nuse = npm:paster#${text}\n`).join('');
  const directory = temporaryDirectory({
    ...files,
    'x.ini': `${ini}[server:main]\nuse = npm:paster#http\n${server}\n`,
  });
  const options = { relativeTo: directory };
  let filtered = app;
  for (const index of [...sections.keys()].reverse()) {
    filtered = await (await loadFilter(`config:x.ini#f${index}`, options))(filtered);
  }
  const running = await (await loadServer('config:x.ini', options)).serve(filtered);
  whenOver(() => running.close({ graceful: false }));
  const [address] = running.addresses;
  const url = address?.kind === 'tcp' ? `http://127.0.0.1:${address.port}` : '';
  return { url, directory };
}

/** Responds with what an application sees of a request, as JSON. */
export const mirror: App = (req, res) => {
  res.setHeader('content-type', 'application/json');
  res.end(JSON.stringify(seen(req)));
};

/** What an application sees of a request. */
export function seen(req: Parameters<App>[0]): Record<string, unknown> {
  const { remoteUser, authType, remoteRoles, baseUrl, originalUrl, session } = req as unknown as Record<
    string,
    unknown
  >;
  return {
    url: req.url,
    baseUrl,
    originalUrl,
    address: req.socket.remoteAddress,
    encrypted: 'encrypted' in req.socket && req.socket.encrypted,
    host: req.headers.host,
    headers: req.headers,
    rawHeaders: req.rawHeaders,
    remoteUser,
    authType,
    remoteRoles,
    session,
  };
}
