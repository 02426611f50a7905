/** What an INI file composes to, as pictures: a tree for a terminal, nested boxes for a browser. */
import { formatLocation, type Location, printable } from '../errors.ts';
import { escapeHtml } from '../http/html.ts';
import { loadContext } from './load.ts';
import { type OutlineNode, outline } from './outline.ts';
import { hideSecrets, type ShowSetting } from './secret-settings.ts';
import type { LoadSession } from './session.ts';
import { configUri } from './uri.ts';

/** The server's outline with the application's inside; the application's alone where there is no server. */
export interface Composition {
  readonly server: OutlineNode | undefined;
  readonly app: OutlineNode;
}

export interface CompositionNames {
  /** The application section. Default: `main`. */
  readonly app?: string | undefined;
  /** The server section. Default: `main`; it need not exist unless it is named. */
  readonly server?: string | undefined;
}

/**
 * Resolves an INI file's application and server; runs nothing.
 *
 * @param file An absolute path.
 * @param show How settings are shown. Default: without what is secret.
 * @throws ConfigError, ErrorList as the loader does.
 */
export async function compositionOf(
  file: string,
  names: CompositionNames,
  session: LoadSession,
  show?: ShowSetting,
): Promise<Composition> {
  const uri = configUri(file);
  const options = { globalConf: session.caller };
  const appContext = await loadContext('app', uri, { ...options, name: names.app }, session);
  const shown = show ?? (await hideSecrets(file, session));
  const app = await outline(appContext, shown);
  const { sections } = await session.read(file);
  const hasServer = names.server !== undefined || sections.has('server:main') || sections.has('server');
  if (!hasServer) return { server: undefined, app };
  const serverContext = await loadContext('server', uri, { ...options, name: names.server }, session);
  return { server: await outline(serverContext, shown), app };
}

/** A line of the tree: what stands left, and where it is written. */
interface Row {
  readonly text: string;
  readonly place: string;
}

/**
 * The composition as a tree, who wraps whom from the outside inwards, with the place of each section in a column of its
 * own. Safe for a terminal.
 *
 * @param options.settings Whether each part's settings are shown.
 */
export function compositionTree({ server, app }: Composition, options: { readonly settings: boolean }): string {
  const rows: Row[] = [];
  const add = (node: OutlineNode, key: string | undefined, lead: string, indent: string): void => {
    const label = key === undefined ? '' : `${key}  `;
    rows.push({ text: `${lead}${label}[${node.name}] ${node.uses}`, place: placeOf(node.location) });
    const hasInner = node.inner.length > 0;
    if (options.settings) {
      for (const { name, value, location } of node.settings) {
        const text = value.split('\n').join(' ').trim();
        rows.push({ text: `${indent}${hasInner ? '│' : ' '}    ${name} = ${text}`, place: placeOf(location) });
      }
    }
    for (const [index, { key: innerKey, node: inner }] of node.inner.entries()) {
      const isLast = index === node.inner.length - 1;
      add(inner, innerKey, `${indent}${isLast ? '└─ ' : '├─ '}`, `${indent}${isLast ? '   ' : '│  '}`);
    }
  };
  const root = server ? { ...server, inner: [{ node: app }] } : app;
  add(root, undefined, '', '');
  const shown = rows.map(({ text, place }) => ({ text: printable(text), place: printable(place) }));
  const width = Math.min(MAX_COLUMN, Math.max(...shown.map(({ text }) => text.length)));
  return shown.map(({ text, place }) => `${text.padEnd(width)}  ${place}`.trimEnd()).join('\n');
}

/** Beyond this column, a place follows its part directly: one long line does not push all places off the screen. */
const MAX_COLUMN = 72;

/** A part and all that it wraps as nested boxes, with settings and places. */
export function partHtml(node: OutlineNode): string {
  const settings = node.settings.map(
    ({ name, value, location }) =>
      `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)} <span class="at">${escapeHtml(placeOf(location))}</span></dd>`,
  );
  const inner = node.inner.map(
    ({ key, node: part }) =>
      `${key === undefined ? '' : `<p class="key"><code>${escapeHtml(key)}</code></p>`}${partHtml(part)}`,
  );
  return `<div class="part"><span class="role">${node.role}</span> <strong>[${escapeHtml(node.name)}]</strong>
<span class="at">${escapeHtml(placeOf(node.location))}</span>
<dl><dt>use</dt><dd>${escapeHtml(node.uses)}</dd>${settings.join('')}</dl>
${inner.join('\n')}</div>`;
}

/** The composition as boxes, the server's first. */
export function compositionHtml({ server, app }: Composition): string {
  const parts = [...(server ? [{ title: 'server', node: server }] : []), { title: 'application', node: app }];
  return parts.map(({ title, node }) => `<p class="key soft">${title}</p>\n${partHtml(node)}`).join('\n');
}

/** `etc/develop.ini:14`; the column says nothing of a section. */
function placeOf(location: Location | undefined): string {
  return location ? formatLocation(location).replace(/:\d+$/, '') : '';
}
