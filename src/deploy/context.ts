/**
 * What loading gives before anything is built: which factory with which configuration, and how parts wrap each other.
 * Contexts are plain values that can be printed and checked; only compose.ts turns them into objects.
 */
import type { IniEntry } from '../config/ini.ts';
import type { Location } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';
import type { FactoryKind, PartKind } from './kinds.ts';

/** A section that had a say in a context. */
export interface SectionRef {
  readonly file: string;
  readonly name: string;
  readonly location: Location;
}

/** Something in a module that has been found but not imported. */
export interface Target {
  /** As a user would write it: `npm:paster#http`, `./app.js:makeApp`. */
  readonly description: string;
  /** The module's file, if it is known without importing it. */
  readonly file: string | undefined;
  /** Imports the module and picks the export. */
  load(): Promise<unknown>;
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

/** The sections that are being resolved right now, outermost first; finds cycles. */
export type Trail = readonly SectionRef[];

interface ContextBase {
  readonly kind: PartKind;
  /** The sections that a `use` chain went through, the one that was asked for first. Empty for a bare URI. */
  readonly sections: readonly SectionRef[];
  readonly globalConf: Settings;
  readonly localConf: Settings;
  /** Where each key of localConf is written. */
  readonly origins: ReadonlyMap<string, IniEntry>;
  readonly trail: Trail;
}

/**
 * How the target is to be treated: a factory kind; `object`, a ready part that is not called; `connect`, a function
 * from an options object to Connect middleware.
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
  /** What an old name for a built-in part implies: `egg:Flup#fcgi_fork` has `workers = auto`. The section's keys win. */
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

/** A mapping without a prototype, so that a key such as `__proto__` is a key like any other. */
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

/** Whether its factory is given a loader, to be made of other parts. */
export function isComposite({ protocol }: FactoryContext): boolean {
  return protocol === 'paste.composite_factory' || protocol === 'paste.composit_factory';
}
