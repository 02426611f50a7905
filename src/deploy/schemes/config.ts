/** `config:other.ini#name`: a section of another file. */
import { ConfigFile } from '../config-file.ts';
import { configPath } from '../uri.ts';
import type { Scheme } from '../uri-request.ts';

export const configScheme: Scheme = async (uri, name, request) => {
  const { kind, globalConf, session, trail, from } = request;
  const file = await ConfigFile.open(configPath(uri, request.relativeTo), session, request.resolve, globalConf);
  return file.context(kind, name, globalConf, trail, from);
};
