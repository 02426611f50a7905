/**
 * The result of resolving a configuration: the factories with their settings, and how parts wrap each other. Contexts are
 * plain values that can be printed and checked; compose.ts builds objects from them.
 */
import type { IniEntry } from '../config/ini/ini.ts';
import type { Location } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';
import type { FactoryKind, PartKind } from './part-kinds.ts';

/** A section that contributed to a context. */
export interface SectionRef {
  readonly file: string;
  readonly name: string;
  readonly location: Location;
}

/** An export of a module that has not been imported yet. */
export interface Target {
  /** As a user would write it: `npm:paster#http`, `./app.js:makeApp`. */
  readonly description: string;
  /** The module's file, if it is known without importing it. */
  readonly file: string | undefined;
  /** Imports the module and picks the export. */
  load(): Promise<unknown>;
  /**
   * Looks for the module without importing it. Absent: `load` imports nothing but parts of paster.
   * @throws ConfigError if there is no such module
   */
  find?(): Promise<unknown>;
}

/** Finds parts by name, for composites: within a file (or a package), or anywhere by URI. */
export interface ContextLoader {
  context(
    kind: PartKind,
    name: string | undefined,
    globalConf: Settings | undefined,
    trail: Trail,
    from?: Location,
  ): Promise<Context>;
}

/** The sections that are being resolved, outermost first; used to find cycles. */
export type Trail = readonly SectionRef[];

interface ContextBase {
  readonly kind: PartKind;
  /** The sections of the `use` chain, the requested one first. Empty for a bare URI. */
  readonly sections: readonly SectionRef[];
  readonly globalConf: Settings;
  readonly localConf: Settings;
  /** Where each key of localConf is written. */
  readonly origins: ReadonlyMap<string, IniEntry>;
  readonly trail: Trail;
}

/**
 * How the target is used: as one of the factory kinds; as `object`, a finished part that is not called; or as `connect`, a
 * function that takes an options object and returns Connect middleware.
 */
export type Protocol = FactoryKind | 'object' | 'connect';

/** One factory and its configuration. */
export interface FactoryContext extends ContextBase {
  readonly form: 'factory';
  readonly protocol: Protocol;
  /** True for `call:`, whose factory kind depends on the section that uses it. */
  readonly protocolAssumed: boolean;
  readonly target: Target;
  readonly loader: ContextLoader;
  /** Settings that an old name implies: `egg:Flup#fcgi_fork` means `workers = auto`. The section's keys override them. */
  readonly implied: Settings;
}

/** `[pipeline:x]`: the first filter is the outermost. */
export interface PipelineContext extends ContextBase {
  readonly form: 'pipeline';
  readonly filters: readonly Context[];
  readonly app: Context;
}

/** `[filter-app:x]`: a filter around `next`. */
export interface FilterAppContext extends ContextBase {
  readonly form: 'filter-app';
  readonly filter: Context;
  readonly next: Context;
}

/** A section with `filter-with`: an app or a filter behind a filter. */
export interface FilteredContext extends ContextBase {
  readonly form: 'filter-with';
  readonly filter: Context;
  readonly next: Context;
}

export type Context = FactoryContext | PipelineContext | FilterAppContext | FilteredContext;

/** Merges settings, the last layer wins. The result has no prototype, so that `__proto__` is an ordinary key. */
export function settingsOf(...layers: (Readonly<Settings> | undefined)[]): Settings {
  const settings: Settings = Object.create(null);
  for (const layer of layers) {
    for (const key of Object.keys(layer ?? {})) {
      const value = layer?.[key];
      if (value !== undefined) settings[key] = value;
    }
  }
  return settings;
}

/** Whether the factory gets a loader, to build the part from other parts. */
export function isComposite({ protocol }: FactoryContext): boolean {
  return protocol === 'paste.composite_factory' || protocol === 'paste.composit_factory';
}

/** `[app:main] ` for messages; empty for a part without a section. */
export function sectionPrefix({ sections }: Pick<Context, 'sections'>): string {
  return sections[0] ? `[${sections[0].name}] ` : '';
}

/** Where the section of a part begins. */
export function sectionPlace({ sections }: Context): Location | undefined {
  return sections[0]?.location;
}

/** Where a key of a part's section is written. */
export function placeOfKey({ origins }: Context, key: string | undefined): Location | undefined {
  return key === undefined ? undefined : origins.get(key)?.location;
}

/** A part for messages: `[app:main] ./app.js:makeApp`. */
export function describePart(context: Context): string {
  return `${sectionPrefix(context)}${context.form === 'factory' ? context.target.description : context.form}`;
}
