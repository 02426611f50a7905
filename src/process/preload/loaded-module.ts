/** The modules that Node reports, and which of them can be imported ahead. */
import { fileURLToPath } from 'node:url';

/** A module that Node has reported. */
export interface LoadedModule {
  readonly file: string;
  readonly kind: 'import' | 'require';
  /** Whether tsx has loaded it, which keeps its modules apart from Node's. */
  readonly byTsx: boolean;
}

/** What a worker has loaded until it was ready, in the order of Node's reports. */
export interface LoadOrder {
  readonly modules: readonly LoadedModule[];
  /** How many of them were loaded before the application's own modules were evaluated and its functions were called. */
  readonly evaluated: number;
}

/** A package, or one of its files, that the application imports. */
export interface Unit extends LoadedModule {
  /** The first module of the application that imports it. */
  readonly from: string;
  /** All modules of the application that import it, and how. */
  readonly requests: readonly ModuleRequest[];
  /** Whether no code of the application runs before it. */
  readonly isFirst: boolean;
  /** Whether functions of the application are called before it. */
  readonly isLate: boolean;
  /** Whether the application has loaded it before. Otherwise it is not imported ahead. */
  readonly isKnown: boolean;
  /** Whether a condition in the application's code decides if it is loaded again. The application has loaded it before. */
  readonly isConditional: boolean;
  /** The module of a package that imports it, if that is not imported ahead itself: see deferred-import.ts. */
  readonly deferredBy: string | undefined;
}

export interface ModuleRequest {
  readonly from: string;
  readonly specifier: string;
}

/** @param module as Node reports it: a URL that was imported, a path that was required */
export function loadedModule(module: string, kind: 'import' | 'require'): LoadedModule | undefined {
  let file = module;
  if (module.startsWith('file:')) {
    try {
      file = fileURLToPath(module.replace(/[?#].*$/s, ''));
    } catch {
      return undefined;
    }
  }
  if (!file.startsWith('/')) return undefined;
  return { file: file.replace(NAMESPACE, ''), kind, byTsx: /[?&](?:tsx-)?namespace=/.test(module) };
}

/** The modules in Node's reports. */
export function loadedModules(reports: readonly string[]): LoadedModule[] {
  return reports.flatMap((each) => loadedModule(each, each.startsWith('file:') ? 'import' : 'require') ?? []);
}

/** What tsx adds to the path of a CommonJS module. */
const NAMESPACE = /\?namespace=.*$/s;

/** Whether a file's name is that of a module with code. */
export function isModuleFile(path: string): boolean {
  return /\.[cm]?[jt]sx?$/.test(path);
}
