/**
 * Resolves the sections of one INI file to contexts, with Paste Deploy's precedence (paste.deploy.loadwsgi,
 * ConfigLoader). Comments with "Departure" mark the differences.
 */
import { dirname } from 'node:path';
import type { IniSection } from '../../config/ini/ini.ts';
import { asList } from '../../config/settings/convert.ts';
import { ConfigError, type Location, locate } from '../../errors.ts';
import type { Settings } from '../../protocol/types.ts';
import {
  type Context,
  type ContextLoader,
  type FactoryContext,
  type SectionRef,
  settingsOf,
  type Trail,
} from '../context.ts';
import { moduleTarget } from '../modules/module-target.ts';
import { FACTORY_KINDS, factoryKindOfSection, isBackground, KINDS, type PartKind } from '../part-kinds.ts';
import type { LoadSession } from '../session.ts';
import type { ResolveUri } from '../uri.ts';
import { hasScheme } from '../uri.ts';
import { brokenBy, brokenContext } from './broken-context.ts';
import { findSection, misspeltSections, refuseAmbiguousName, warnOfDefaultInOtherCase } from './find-section.ts';
import {
  ENVIRONMENT,
  MOUNT,
  RELOAD_FILES,
  readSection,
  requireKey,
  type SectionConfig,
  take,
  warnOfKeysWithoutEffect,
} from './section-config.ts';
import { SectionScope } from './section-scope.ts';

/** What a section runs without `use`. */
const BACKGROUND_KEYS = { process: ['command'], task: ['command', 'request'] } as const;

export class ConfigFile implements ContextLoader {
  readonly #session: LoadSession;
  readonly #resolveUri: ResolveUri;
  readonly #scope: SectionScope;
  /**
   * For the loader of a composite that this file uses and another file declares: that other file, in which names that are
   * missing here are looked up.
   */
  readonly #compositeFile: ConfigFile | undefined;

  private constructor(session: LoadSession, resolveUri: ResolveUri, scope: SectionScope, compositeFile?: ConfigFile) {
    this.#session = session;
    this.#resolveUri = resolveUri;
    this.#scope = scope;
    this.#compositeFile = compositeFile;
  }

  /** @param outer The globals of the referring file or of the caller. */
  static async open(
    file: string,
    session: LoadSession,
    resolveUri: ResolveUri,
    outer: Settings | undefined,
  ): Promise<ConfigFile> {
    const document = await session.read(file);
    for (const error of misspeltSections(document)) session.report(error);
    warnOfDefaultInOtherCase(document, session);
    const scope = new SectionScope(document, session.callerGlobals, outer, (error, entry) =>
      session.report(error, entry),
    );
    return new ConfigFile(session, resolveUri, scope);
  }

  get #file(): string {
    return this.#scope.document.file;
  }

  async context(
    kind: PartKind,
    name: string | undefined,
    globalConf: Settings | undefined,
    trail: Trail,
    from?: Location,
  ): Promise<Context> {
    return this.#orBrokenContext(kind, [], trail, async () => {
      if (name === undefined || !hasScheme(name)) {
        const others = this.#fallbackFiles.map((each) => each.#scope.document);
        const section = findSection([this.#scope.document, ...others], kind, name, from);
        const file = this.#fallbackFiles.find((each) => each.#file === section.location.file) ?? this;
        return file.sectionContext(kind, section, globalConf, trail);
      }
      return this.#resolveUri(name, {
        kind,
        relativeTo: dirname(this.#file),
        globalConf,
        session: this.#session,
        trail,
        from,
        resolve: this.#resolveUri,
      });
    });
  }

  /** The files to search for a name after this one, nearest first. */
  get #fallbackFiles(): ConfigFile[] {
    return this.#compositeFile ? [this.#compositeFile, ...this.#compositeFile.#fallbackFiles] : [];
  }

  /**
   * The loader for a composite that this file uses. It looks names up in this file first, as Paste does. Departure: it
   * looks up missing names in the file of the composite, where its author meant them.
   */
  #loaderFor(used: FactoryContext): ContextLoader {
    const { loader } = used;
    if (!(loader instanceof ConfigFile)) return this;
    const compositeFile = loader.#file === this.#file ? loader.#compositeFile : loader;
    return compositeFile ? new ConfigFile(this.#session, this.#resolveUri, this.#scope, compositeFile) : this;
  }

  /** The context of a section of any name. */
  async sectionContext(
    kind: PartKind,
    section: IniSection,
    globalConf: Settings | undefined,
    trail: Trail,
  ): Promise<Context> {
    const ref: SectionRef = { file: this.#file, name: section.name, location: section.location };
    return this.#orBrokenContext(kind, [ref], trail, async () => {
      refuseCycle(trail, ref);
      refuseAmbiguousName(kind, section, this.#scope.document);
      return this.#withFilter(kind, readSection(this.#scope, this.#session, section, globalConf, [...trail, ref]));
    });
  }

  /** Resolves a part. If the session collects errors, a part that cannot be resolved becomes a broken context. */
  async #orBrokenContext(
    kind: PartKind,
    sections: readonly SectionRef[],
    trail: Trail,
    resolve: () => Promise<Context>,
  ): Promise<Context> {
    try {
      return await resolve();
    } catch (error) {
      this.#session.report(error);
      return brokenContext(kind, sections, trail, this, error);
    }
  }

  async #withFilter(kind: PartKind, config: SectionConfig): Promise<Context> {
    const { localConf, origins, globalConf, trail, section } = config;
    const filterName = kind === 'server' || isBackground(kind) ? undefined : take(localConf, 'filter-with');
    const required = take(localConf, 'require');
    for (const name of asList(required ?? '')) {
      try {
        await requireDistribution(name, dirname(this.#file));
      } catch (error) {
        this.#session.report(locate(error, origins.get('require')?.locate(0) ?? section.location));
      }
    }
    const next = await this.#orBrokenContext(kind, config.trail.slice(-1), trail, () => this.#unfiltered(kind, config));
    if (filterName === undefined) return next;
    const from = origins.get('filter-with')?.locate(0) ?? section.location;
    const filter = await this.context('filter', filterName, globalConf, trail, from);
    return {
      form: 'filter-with',
      kind,
      ...composedOf(config),
      filter,
      next,
    };
  }

  #unfiltered(kind: PartKind, config: SectionConfig): Promise<Context> {
    if (kind === 'app' && config.prefix === 'filter-app') return this.#filterApp(config);
    if (kind === 'app' && config.prefix === 'pipeline') return this.#pipeline(config);
    return this.#part(kind, config);
  }

  #part(kind: PartKind, config: SectionConfig): Promise<Context> {
    if ('use' in config.localConf) return this.#usedPart(kind, config);
    if (isBackground(kind)) {
      const key = BACKGROUND_KEYS[kind].find((each) => each in config.localConf);
      if (key !== undefined) return this.#background(kind, key, config);
    }
    return this.#ownFactory(kind, config);
  }

  /** `command = ...` or `request = ...` in a section of a background process or a task. */
  async #background(kind: PartKind, key: 'command' | 'request', config: SectionConfig): Promise<Context> {
    return {
      form: 'factory',
      kind,
      ...composedOf(config),
      protocol: 'paste.process_factory',
      protocolAssumed: false,
      target: {
        description: `${key} ${config.localConf[key]}`,
        file: undefined,
        async load() {
          if (key === 'request') return (await import('../background/request-task.ts')).requestTask;
          const { commandProcess, commandTask } = await import('../background/command-process.ts');
          return kind === 'task' ? commandTask : commandProcess;
        },
      },
      loader: this,
      implied: settingsOf(),
    };
  }

  async #filterApp(config: SectionConfig): Promise<Context> {
    const { origins, globalConf, trail } = config;
    const next = await this.#orBrokenContext('app', [], trail, () =>
      this.context('app', requireKey(config, 'next'), globalConf, trail, origins.get('next')?.locate(0)),
    );
    const filter = await this.#part('filter', config);
    return {
      form: 'filter-app',
      kind: 'app',
      ...composedOf(config),
      filter,
      next,
    };
  }

  async #pipeline(config: SectionConfig): Promise<Context> {
    const { localConf, origins, globalConf, trail, section } = config;
    const names = asList(requireKey(config, 'pipeline'));
    const from = origins.get('pipeline')?.locate(0) ?? section.location;
    for (const extra of Object.keys(localConf)) {
      this.#session.report(
        new ConfigError('PASTER_PIPELINE_EXTRA', `[${section.name}] a pipeline has no setting "${extra}"`, {
          location: origins.get(extra)?.location ?? section.location,
          hint: 'only pipeline, filter-with and set ... are allowed here; settings of a filter go into its own section',
        }),
      );
    }
    const appName = names.pop();
    if (appName === undefined) {
      throw new ConfigError('PASTER_PIPELINE_EMPTY', `[${section.name}] pipeline: it names no application`, {
        location: from,
        hint: 'name the filters, the outermost first, and the application last',
      });
    }
    const app = await this.context('app', appName, globalConf, trail, from);
    const filters: Context[] = [];
    for (const name of names) filters.push(await this.context('filter', name, globalConf, trail, from));
    return {
      form: 'pipeline',
      kind: 'app',
      ...composedOf(config),
      filters,
      app,
    };
  }

  async #usedPart(kind: PartKind, config: SectionConfig): Promise<Context> {
    const { localConf, origins, globalConf, trail, section, prefix } = config;
    const use = take(localConf, 'use') ?? '';
    const from = origins.get('use')?.locate(0) ?? section.location;
    const used = await this.context(kind, use, globalConf, trail, from);
    const protocol = factoryKindOfSection(prefix, kind);
    return this.#withSettings(used, config, protocol);
  }

  /**
   * The context of a used section, with the keys of the using section on top. Departure: if the used section makes more
   * than one part, the keys go to the part that gets the section's own keys; Paste loses them.
   */
  #withSettings(used: Context, config: SectionConfig, protocol: FactoryContext['protocol']): Context {
    const globalConf = settingsOf(used.globalConf, config.additions);
    // `__file__` stays the including file.
    const file = config.globalConf['__file__'];
    if (file !== undefined) globalConf['__file__'] = file;
    const own = {
      sections: [...config.trail.slice(-1), ...used.sections],
      globalConf,
      localConf: settingsOf(used.localConf, config.localConf),
      origins: new Map([...used.origins, ...config.origins]),
      trail: config.trail,
    };
    switch (used.form) {
      case 'factory':
        if (used.protocol === 'object' && used.kind !== 'server' && brokenBy(used) === undefined) {
          const isRead = (key: string): boolean => [RELOAD_FILES, MOUNT, ENVIRONMENT].includes(key);
          warnOfKeysWithoutEffect(config.section.name, config, used, isRead, this.#session);
        }
        return {
          ...used,
          ...own,
          loader: this.#loaderFor(used),
          ...(used.protocolAssumed ? { protocol, protocolAssumed: false } : {}),
        };
      case 'filter-with':
        return { ...used, ...own, next: this.#withSettings(used.next, config, protocol) };
      case 'filter-app':
        return { ...used, ...own, filter: this.#withSettings(used.filter, config, protocol) };
      case 'pipeline':
        return { ...used, ...own, app: this.#withSettings(used.app, config, protocol) };
    }
  }

  async #ownFactory(kind: PartKind, config: SectionConfig): Promise<Context> {
    const { localConf, origins, globalConf, trail, section } = config;
    const given = KINDS[kind].groups.flatMap((group) => group.find((protocol) => protocol in localConf) ?? []);
    const [protocol, second] = given;
    if (protocol === undefined) {
      const misplaced = FACTORY_KINDS.find((each) => each in localConf);
      // `use egg:Paste#http`, without "=": its colon separates the key "use egg" from the value.
      const colon = Object.keys(localConf).find((key) => /^use\s+[a-z]+$/i.test(key));
      if (colon !== undefined) {
        const [, scheme] = colon.split(/\s+/);
        throw new ConfigError('PASTER_NO_FACTORY', `[${section.name}] "use" needs "=" after it`, {
          location: origins.get(colon)?.location ?? section.location,
          hint: `write use = ${scheme}:${localConf[colon]}`,
        });
      }
      throw new ConfigError(
        'PASTER_NO_FACTORY',
        misplaced
          ? `[${section.name}] ${misplaced} does not make a part of this kind (${kind})`
          : `[${section.name}] has neither "use" nor a factory`,
        {
          location: (misplaced && origins.get(misplaced)?.location) ?? section.location,
          hint: `write use = npm:package#name, or ${KINDS[kind].called} = ./module.js:factory${isBackground(kind) ? ', or command = ...' : ''}`,
        },
      );
    }
    if (second !== undefined) {
      throw new ConfigError('PASTER_TWO_FACTORIES', `[${section.name}] has both ${protocol} and ${second}`, {
        location: origins.get(second)?.location ?? section.location,
        hint: 'keep one of them',
      });
    }
    const from = origins.get(protocol)?.locate(0) ?? section.location;
    const expression = take(localConf, protocol) ?? '';
    return {
      form: 'factory',
      kind,
      sections: trail.slice(-1),
      globalConf,
      localConf,
      origins,
      trail,
      protocol,
      protocolAssumed: false,
      target: moduleTarget(expression, dirname(this.#file), from),
      loader: this,
      implied: settingsOf(),
    };
  }
}

/** `MapProxy>=1.0`: the version is npm's business. Paste's own distributions are paster itself. */
async function requireDistribution(requirement: string, directory: string): Promise<void> {
  const name = requirement.replace(/[<>=!~;[].*$/s, '');
  const { namesOfDistribution } = await import('../modules/paste-names.ts');
  if (namesOfDistribution(name)) return;
  const { findDistribution } = await import('../modules/packages.ts');
  await findDistribution(name, directory);
}

/** What a composed part takes over from its section. */
function composedOf({ globalConf, localConf, origins, trail }: SectionConfig) {
  return { sections: trail.slice(-1), globalConf, localConf, origins, trail };
}

/** Deeper than a hand-written file, and far from a stack overflow. */
const MAX_DEPTH = 200;

/** @throws ConfigError for a cycle; Paste recurses until its stack overflows. */
function refuseCycle(trail: Trail, ref: SectionRef): void {
  const start = trail.findIndex((each) => each.file === ref.file && each.name === ref.name);
  if (start === -1) {
    if (trail.length < MAX_DEPTH) return;
    throw new ConfigError('PASTER_TOO_DEEP', `more than ${MAX_DEPTH} sections refer to each other in a row`, {
      location: ref.location,
    });
  }
  const cycle = [...trail.slice(start), ref];
  const oneFile = cycle.every((each) => each.file === ref.file);
  const names = cycle.map((each) => `[${each.name}]${oneFile ? '' : ` in ${each.file}`}`);
  throw new ConfigError('PASTER_CYCLE', `sections refer to each other in a cycle: ${names.join(' -> ')}`, {
    location: ref.location,
  });
}
