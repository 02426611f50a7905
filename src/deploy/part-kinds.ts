/**
 * The kinds of parts: for each, the groups of entry points that can make it and the prefixes of the sections that describe
 * it (paste.deploy.loadwsgi: `egg_protocols`, `config_prefixes`). Within an inner list the first match counts; matches in
 * two inner lists are ambiguous.
 */

export type PartKind = 'app' | 'filter' | 'server' | 'process' | 'task';

/** The kinds of factories, which are also the names of the entry-point groups. */
export const FACTORY_KINDS = [
  'paste.app_factory',
  'paste.composite_factory',
  'paste.composit_factory',
  'paste.filter_factory',
  'paste.filter_app_factory',
  'paste.server_factory',
  'paste.server_runner',
  'paste.process_factory',
] as const;

export type FactoryKind = (typeof FACTORY_KINDS)[number];

export interface Kind {
  readonly name: PartKind;
  readonly groups: readonly (readonly FactoryKind[])[];
  readonly prefixes: readonly (readonly string[])[];
  /** The factory kind of a function that `call:` names, unless the section's prefix implies another. */
  readonly called: FactoryKind;
}

export const KINDS: Readonly<Record<PartKind, Kind>> = {
  app: {
    name: 'app',
    groups: [['paste.app_factory'], ['paste.composite_factory'], ['paste.composit_factory']],
    prefixes: [['app', 'application'], ['composite', 'composit'], ['pipeline'], ['filter-app']],
    called: 'paste.app_factory',
  },
  filter: {
    name: 'filter',
    groups: [['paste.filter_factory', 'paste.filter_app_factory']],
    prefixes: [['filter']],
    called: 'paste.filter_factory',
  },
  server: {
    name: 'server',
    groups: [['paste.server_factory', 'paste.server_runner']],
    prefixes: [['server']],
    called: 'paste.server_factory',
  },
  process: {
    name: 'process',
    groups: [['paste.process_factory']],
    prefixes: [['process']],
    called: 'paste.process_factory',
  },
  task: {
    name: 'task',
    groups: [['paste.process_factory']],
    prefixes: [['task']],
    called: 'paste.process_factory',
  },
};

/** The web server's name among the background processes, in `--only` and `--without`. */
export const WEB = 'web';

/** Whether it runs in a process of its own, besides the web workers. */
export function isBackground(kind: PartKind): kind is 'process' | 'task' {
  return kind === 'process' || kind === 'task';
}

/** The factory kind that a section's prefix implies for `use = call:...`. */
export function factoryKindOfSection(prefix: string, kind: PartKind): FactoryKind {
  switch (prefix) {
    case 'composite':
    case 'composit':
      return 'paste.composite_factory';
    case 'filter-app':
      return 'paste.filter_app_factory';
    default:
      return KINDS[kind].called;
  }
}

/** The names after the colon of the sections of a kind: `mailer` of `[process:mailer]`. A bare `[process]` is `main`. */
export function namesOfKind(sections: Iterable<string>, kind: PartKind): string[] {
  return [...sections].filter((section) => kindOfSection(section) === kind).map(nameOfSection);
}

export function nameOfSection(section: string): string {
  const colon = section.indexOf(':');
  return colon === -1 ? 'main' : section.slice(colon + 1).trim();
}

/** The kind of part that a section of this name describes; undefined for `[loggers]` and sections of other programs. */
export function kindOfSection(name: string): PartKind | undefined {
  const prefix = name.split(':', 1)[0] ?? '';
  return Object.values(KINDS).find(({ prefixes }) => prefixes.flat().includes(prefix))?.name;
}
