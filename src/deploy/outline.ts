/** What an INI file composes to, for people: which part wraps which, from which line, with which settings. */
import { errorMessage, type Location, PasterError } from '../errors.ts';
import { brokenBy, brokenContext } from './broken-context.ts';
import { type Context, type FactoryContext, isComposite } from './context.ts';
import { namesApp, ownSchema } from './own-part.ts';
import type { ShowSetting } from './secret-settings.ts';

export interface OutlineSetting {
  readonly name: string;
  /** As it may be shown. */
  readonly value: string;
  readonly location: Location | undefined;
}

/** One part and what it stands in front of. */
export interface OutlineNode {
  readonly role: 'app' | 'composite' | 'filter' | 'server';
  /** The section's name, or the URI of a part without one. */
  readonly name: string;
  /** What the section uses: `npm:paster#http`; of a part that cannot be found, the error. */
  readonly uses: string;
  readonly location: Location | undefined;
  readonly settings: readonly OutlineSetting[];
  /** The next part inwards; of a composite all of them, with the key that leads to each. */
  readonly inner: readonly { readonly key?: string; readonly node: OutlineNode }[];
}

/** A context within another one; of a composite, with the key that leads to it. */
export interface InnerContext {
  readonly key?: string;
  readonly context: Context;
}

/** The contexts that one is directly made of. */
export async function innerContexts(context: Context): Promise<InnerContext[]> {
  switch (context.form) {
    case 'factory':
      return isComposite(context) ? compositeParts(context) : [];
    case 'filter-with':
    case 'filter-app':
      return [{ context: context.filter }, { context: context.next }];
    case 'pipeline':
      return [...context.filters, context.app].map((each) => ({ context: each }));
  }
}

/** The outline of a context, the outermost part first. */
export async function outline(context: Context, show: ShowSetting): Promise<OutlineNode> {
  if (context.form === 'factory') return factoryNode(context, show);
  const inner = await innerContexts(context);
  const nodes = await Promise.all(inner.map((each) => outline(each.context, show)));
  return nodes.reduceRight((behind, node) => inFront(node, behind));
}

/** A filter that is filtered itself is a chain: what is behind it goes to the end. */
function inFront(filter: OutlineNode, node: OutlineNode): OutlineNode {
  const [next] = filter.inner;
  return { ...filter, inner: [{ node: next ? inFront(next.node, node) : node }] };
}

async function factoryNode(context: FactoryContext, show: ShowSetting): Promise<OutlineNode> {
  const [section] = context.sections;
  const parts = await innerContexts(context);
  const keys = new Set(parts.map((part) => part.key));
  return {
    role: isComposite(context) ? 'composite' : context.kind,
    name: section?.name ?? context.target.description,
    uses: context.target.description,
    location: section?.location,
    settings: Object.entries(context.localConf)
      .filter(([name]) => !keys.has(name))
      .map(([key, value]) => {
        const entry = context.origins.get(key);
        const location = entry?.location;
        const { file = '', name = '' } = section ?? {};
        return { name: key, value: show({ file, section: name, key, value, written: entry?.value }), location };
      }),
    inner: await Promise.all(
      parts.map(async ({ key = '', context: part }) => {
        const error = brokenBy(part);
        const node = error === undefined ? outline(part, show) : brokenNode(context.localConf[key] ?? '', part, error);
        return { key, node: await node };
      }),
    ),
  };
}

function brokenNode(name: string, { kind }: Context, error: unknown): OutlineNode {
  const { location, hint } = error instanceof PasterError ? error : {};
  return {
    role: kind,
    name,
    uses: `error: ${errorMessage(error)}${hint === undefined ? '' : ` (${hint})`}`,
    location,
    settings: [],
    inner: [],
  };
}

/**
 * Which values name applications is known of paster's own composites: there one that leads nowhere is kept as a broken
 * part. A composite of others gets each value tried that could be a name.
 */
async function compositeParts(context: FactoryContext): Promise<InnerContext[]> {
  const { loader, globalConf, trail, origins } = context;
  const schema = await ownSchema(context);
  const parts: InnerContext[] = [];
  for (const [key, value] of Object.entries(context.localConf)) {
    if (schema && !namesApp(key, schema)) continue;
    const from = origins.get(key)?.locate(0);
    try {
      parts.push({ key, context: await loader.context('app', value, globalConf, trail, from) });
    } catch (error) {
      if (schema) parts.push({ key, context: brokenContext('app', [], trail, loader, error) });
    }
  }
  return parts;
}
