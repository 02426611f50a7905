/** Resolves a URI to a context: what each scheme means. */
import { resolve } from 'node:path';
import { nearest } from '../config/nearest.ts';
import { ConfigError, locate } from '../errors.ts';
import { settingsOf } from './context.ts';
import { checkProgram, moduleOf, moduleTarget, namedExport } from './modules/module-target.ts';
import type { PasteName } from './modules/paste-names.ts';
import { isBackground, KINDS } from './part-kinds.ts';
import { ConfigFile } from './sections/config-file.ts';
import { configPath, parseUri, type ResolveScheme, type ResolveUri, uriContext, withExistingFile } from './uri.ts';

const SCHEMES: ReadonlyMap<string, ResolveScheme> = new Map(
  Object.entries({
    /** `config:other.ini#name`: a section of another file. */
    async config(uri, name, request) {
      const { kind, globalConf, session, trail, from } = request;
      const file = await ConfigFile.open(configPath(uri, request.relativeTo), session, request.resolve, globalConf);
      return file.context(kind, name, globalConf, trail, from);
    },

    /** `npm:package#name`: an entry point that an npm package declares. */
    async npm(uri, name, request) {
      const { relativeTo, session } = request;
      const { findEntryPoint, findPackage } = await packages();
      const info = await session.package(`npm:${uri.path} ${relativeTo}`, () => findPackage(uri.path, relativeTo));
      const { group, target } = findEntryPoint(info, request.kind, name ?? 'main', 'npm', request.from);
      return uriContext(request, { protocol: group, target, packageName: uri.path });
    },

    /** `egg:Package#name`: Paste's way to write `npm:`, with Paste's own names meaning paster's built-in parts. */
    async egg(uri, name = 'main', request) {
      const paste = await pasteName(uri.path, name);
      const { relativeTo, session } = request;
      const distribution = paste ? 'paster' : uri.path;
      const { findDistribution, findEntryPoint } = await packages();
      const info = await session.package(`egg:${distribution} ${relativeTo}`, () =>
        findDistribution(distribution, relativeTo),
      );
      const { group, target } = findEntryPoint(info, request.kind, paste?.builtin ?? name, 'egg', request.from);
      return uriContext(request, {
        protocol: group,
        target: { ...target, description: uri.text },
        packageName: info.name,
        ...(paste?.implied ? { implied: paste.implied } : {}),
      });
    },

    /** `call:./module.js:factory`: a factory in a module, without any declaration. */
    async call(uri, _name, request) {
      const target = moduleTarget(uri.path, request.relativeTo, request.from);
      return uriContext(request, {
        protocol: KINDS[request.kind].called,
        protocolAssumed: true,
        target: { ...target, description: uri.text },
      });
    },

    /** `module:./server.js#name`: a finished part, which is not called. */
    async module(uri, name, request) {
      const target = namedExport(uri.path, name ?? 'default', request.relativeTo, request.from, uri.text);
      return uriContext(request, { protocol: 'object', target });
    },

    /** `listen:./server.js#arguments`: a program that listens by itself. */
    async listen(uri, name, request) {
      if (request.kind !== 'app') {
        throw new ConfigError(
          'PASTER_LISTEN_KIND',
          `listen: runs an application, not a part of kind "${request.kind}"`,
          {
            hint: 'use it in an [app:...] section',
          },
        );
      }
      const file = resolve(request.relativeTo, uri.path);
      const target = {
        description: uri.text,
        file,
        async load() {
          checkProgram(uri.path, file, request.from);
          return (await import('./programs/program.ts')).programFactory(file, request.relativeTo);
        },
      };
      const context = uriContext(request, { protocol: 'paste.app_factory', target });
      return name === undefined ? context : { ...context, localConf: settingsOf({ args: name }) };
    },

    /** `program:./worker.js`: an unchanged program that serves nothing. */
    async program(uri, _name, request) {
      if (!isBackground(request.kind)) {
        throw new ConfigError(
          'PASTER_PROGRAM_KIND',
          `program: runs a background process, not a part of kind "${request.kind}"`,
          {
            hint:
              request.kind === 'app'
                ? 'for a program that serves requests, write listen:'
                : 'use it in a [process:...] section',
          },
        );
      }
      const file = resolve(request.relativeTo, uri.path);
      const target = {
        description: uri.text,
        file,
        load: async () => (await import('./background/program-process.ts')).programProcess(file, request.relativeTo),
      };
      return uriContext(request, { protocol: 'paste.process_factory', target });
    },

    /** `connect:package#name`: a factory of Connect middleware that takes one options object. */
    async connect(uri, name, request) {
      if (request.kind !== 'filter') {
        throw new ConfigError('PASTER_CONNECT_KIND', `connect: makes filters, not a part of kind "${request.kind}"`, {
          hint: 'use it in a [filter:...] section',
        });
      }
      const target = namedExport(uri.path, name ?? 'default', request.relativeTo, request.from, uri.text);
      return uriContext(request, { protocol: 'connect', target });
    },
  } satisfies Record<string, ResolveScheme>),
);

/** The schemes whose path can be that of a file, and what of the path is the file's. */
const FILE_SCHEMES: Readonly<Record<string, (path: string) => string>> = {
  call: moduleOf,
  module: (path) => path,
  listen: (path) => path,
  connect: (path) => path,
};

/** Imported only for the schemes that need it: an INI file without packages loads faster. */
const packages = async () => {
  const { findDistribution, findPackage } = await import('./modules/packages.ts');
  const { findEntryPoint } = await import('./modules/entry-points.ts');
  return { findDistribution, findPackage, findEntryPoint };
};

/** @throws ConfigError at the place of the URI. */
export const resolveUri: ResolveUri = async (text, request) => {
  try {
    const parsed = parseUri(text);
    const pathOf = parsed && FILE_SCHEMES[parsed.scheme];
    const uri = pathOf ? withExistingFile(parsed, (path) => resolve(request.relativeTo, pathOf(path))) : parsed;
    const scheme = uri && SCHEMES.get(uri.scheme);
    if (!uri || !scheme) throw unknownScheme(text, uri?.scheme);
    return await scheme(uri, request.name ?? uri.fragment, request);
  } catch (error) {
    throw locate(error, request.from, request.trail.at(-1)?.name);
  }
};

function unknownScheme(text: string, scheme: string | undefined): ConfigError {
  const meant = scheme === undefined ? undefined : nearest(scheme, SCHEMES.keys());
  const known = [...SCHEMES.keys()].map((each) => `${each}:`).join(', ');
  return new ConfigError(
    'PASTER_SCHEME_UNKNOWN',
    scheme === undefined ? `"${text}" has no scheme` : `unknown scheme "${scheme}:" in "${text}"`,
    { hint: meant ? `did you mean "${meant}:"?` : `known schemes: ${known}` },
  );
}

/** The built-in part behind one of Paste's own names; undefined for the packages of others. */
async function pasteName(distribution: string, name: string): Promise<PasteName | undefined> {
  const { namesOfDistribution } = await import('./modules/paste-names.ts');
  const names = namesOfDistribution(distribution);
  if (!names) return undefined;
  const found = Object.hasOwn(names, name) ? names[name] : undefined;
  if (found) return found;
  const known = Object.keys(names);
  const meant = nearest(name, known);
  throw new ConfigError('PASTER_EGG_UNSUPPORTED', `paster has nothing for egg:${distribution}#${name}`, {
    hint: meant
      ? `did you mean "${meant}"?`
      : `of ${distribution} it has: ${known.join(', ')}; docs/paste.md says what to use instead of the others`,
  });
}
