/** The outline of a composition: which part wraps which, with places and settings. */
import { errorMessage, type Location, PasterError } from '../../errors.ts';
import { type Context, type FactoryContext, isComposite } from '../context.ts';
import { builtinSchema, namesApp } from '../schema.ts';
import { brokenBy, brokenContext } from '../sections/broken-context.ts';
import type { ShowSetting } from './secret-settings.ts';

export interface OutlineSetting {
  readonly name: string;
  /** With secrets hidden. */
  readonly value: string;
  readonly location: Location | undefined;
}

/** A part and the parts inside it. */
export interface OutlineNode {
  readonly role: 'app' | 'composite' | 'filter' | 'server' | 'process' | 'task';
  /** The section's name, or the URI of a part without a section. */
  readonly name: string;
  /** The URI that the section uses, such as `npm:paster#http`; for a part that cannot be found, the error. */
  readonly uses: string;
  readonly location: Location | undefined;
  readonly settings: readonly OutlineSetting[];
  /** The next part inwards; for a composite all its parts, each with its key. */
  readonly inner: readonly { readonly key?: string; readonly node: OutlineNode }[];
}

/** A context inside another one; in a composite with its key. */
export interface InnerContext {
  readonly key?: string;
  readonly context: Context;
}

/** The contexts that a context is directly composed of. */
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
  return nodes.reduceRight((behind, node) => wrapAround(node, behind));
}

/** Puts a node at the end of a filter's chain: a filter can be filtered itself. */
function wrapAround(filter: OutlineNode, node: OutlineNode): OutlineNode {
  const [next] = filter.inner;
  return { ...filter, inner: [{ node: next ? wrapAround(next.node, node) : node }] };
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
 * The parts of a composite. Built-in composites declare which values name applications; one that leads nowhere becomes a
 * broken part. In other composites, every value that leads to an application counts.
 */
async function compositeParts(context: FactoryContext): Promise<InnerContext[]> {
  const { loader, globalConf, trail, origins } = context;
  const schema = await builtinSchema(context);
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
