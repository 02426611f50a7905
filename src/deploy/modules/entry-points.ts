/** The entry points that a package declares in package.json. */
import { nearest } from '../../config/nearest.ts';
import { ConfigError, type Location } from '../../errors.ts';
import type { Target } from '../context.ts';
import { FACTORY_KINDS, type FactoryKind, KINDS, type PartKind } from '../part-kinds.ts';
import { moduleTarget } from './module-target.ts';
import type { PackageInfo } from './packages.ts';

export interface EntryPoint {
  readonly group: FactoryKind;
  readonly name: string;
  readonly target: Target;
}

/**
 * The entry point `name` of a package that makes parts of `kind`.
 * @throws ConfigError that lists the entry points of the package.
 */
export function findEntryPoint(
  info: PackageInfo,
  kind: PartKind,
  name: string,
  scheme: string,
  from: Location | undefined,
): EntryPoint {
  const found = KINDS[kind].groups.flatMap((groups) => {
    const group = groups.find((each) => info.entryPoints.get(each)?.has(name));
    return group ? [group] : [];
  });
  const [group, second] = found;
  if (group === undefined) throw missingEntryPoint(info, kind, name);
  if (second !== undefined) {
    throw new ConfigError(
      'PASTER_ENTRY_POINT_AMBIGUOUS',
      `the package "${info.name}" declares "${name}" both as ${group} and as ${second}`,
    );
  }
  const expression = info.entryPoints.get(group)?.get(name) ?? '';
  const target = moduleTarget(expression, info.root, from);
  return { group, name, target: { ...target, description: `${scheme}:${info.name}#${name}` } };
}

function missingEntryPoint(info: PackageInfo, kind: PartKind, name: string): ConfigError {
  const groups = KINDS[kind].groups.flat();
  const names = groups.flatMap((group) => [...(info.entryPoints.get(group)?.keys() ?? [])]);
  const elsewhere = FACTORY_KINDS.find((group) => info.entryPoints.get(group)?.has(name));
  const meant = nearest(name, names);
  const hint = elsewhere
    ? `it declares "${name}" as ${elsewhere}`
    : meant
      ? `did you mean "${meant}"?`
      : names.length > 0
        ? `it declares ${names.join(', ')}`
        : info.entryPoints.size > 0
          ? `it declares only ${[...info.entryPoints.keys()].join(', ')}`
          : `its package.json declares no entry points: "paster": { "${KINDS[kind].called}": { ... } }`;
  return new ConfigError('PASTER_ENTRY_POINT_MISSING', `the package "${info.name}" has no ${kind} "${name}"`, { hint });
}
