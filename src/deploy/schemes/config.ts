/** `config:other.ini#name`: a section of another file. */
import { resolve } from 'node:path';
import { pythonStrip } from '../../config/whitespace.ts';
import { ConfigFile } from '../config-file.ts';
import type { Scheme } from '../uri-request.ts';

export const configScheme: Scheme = async (uri, name, request) => {
  const { kind, globalConf, session, trail, from } = request;
  const path = resolve(request.relativeTo, pythonStrip(unquote(uri.path.replaceAll('\\', '/'))));
  const file = await ConfigFile.open(path, session, request.resolve, globalConf);
  return file.context(kind, name, globalConf, trail, from);
};

/** As Python's urllib.parse.unquote: an escape that is none stays as it is. */
function unquote(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => Buffer.from(escapes.replaceAll('%', ''), 'hex').toString());
}
