/**
 * Describes this process to tracing tools: resource attributes of OpenTelemetry, in the variable OTEL_RESOURCE_ATTRIBUTES.
 * Attributes that the user has set there are kept.
 */
import { randomUUID } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readManifest } from '../programs/manifest.ts';

export interface ProcessDescription {
  /** The directory of the INI file, or the working directory; symbolic links in it lead to the release. */
  readonly directory: string;
  /** The number of the worker since the server was started. Undefined: this process serves alone, or serves nothing. */
  readonly worker: number | undefined;
}

const VARIABLE = 'OTEL_RESOURCE_ATTRIBUTES';

/** The same for as long as the process lives. */
const instance = randomUUID();

/** To be called whenever the variables of the INI file have been set. */
export function describeProcess({ directory, worker }: ProcessDescription): void {
  const given = process.env[VARIABLE] ?? '';
  const names = new Set(given.split(',').map((each) => each.split('=', 1)[0]?.trim()));
  // This variable overrides the attribute.
  if (process.env['OTEL_SERVICE_NAME']) names.add('service.name');
  const { name, version, release } = enclosingPackage(realDirectory(directory));
  const attributes: Readonly<Record<string, string | undefined>> = {
    'service.name': name,
    'service.version': version,
    'service.instance.id': instance,
    'paster.worker': worker?.toString(),
    'paster.release': release,
  };
  const added = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined || value === '' || names.has(key) ? [] : `${key}=${encodeURIComponent(value)}`,
  );
  process.env[VARIABLE] = [...(given.trim() === '' ? [] : [given]), ...added].join(',');
}

/** The name and version in the nearest package.json that has either, and its directory, which is the release. */
function enclosingPackage(directory: string): {
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  readonly release: string;
} {
  for (let at = directory; ; at = dirname(at)) {
    const { name, version } = readManifest(at);
    if (name !== undefined || version !== undefined) return { name, version, release: at };
    if (at === dirname(at)) return { release: directory };
  }
}

function realDirectory(directory: string): string {
  try {
    return realpathSync(join(directory, '.'));
  } catch {
    // It has been removed since the start.
    return directory;
  }
}
