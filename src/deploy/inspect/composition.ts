/** The composition of an INI file as a tree for a terminal and as nested boxes for a browser. */
import { type Paint, plain } from '../../diagnostics/paint.ts';
import { formatLocation, type Location } from '../../errors.ts';
import { escapeHtml } from '../../http/html.ts';
import { printable } from '../../printable.ts';
import { loadContext } from '../load.ts';
import { namesOfKind, type PartKind } from '../part-kinds.ts';
import { serverNames } from '../server/server-group.ts';
import type { LoadSession } from '../session.ts';
import { configUri } from '../uri.ts';
import { type OutlineNode, outline } from './outline.ts';
import { hideSecrets, type ShowSetting } from './secret-settings.ts';

/** The outlines of an application and its servers, if there are any, and of the background processes and tasks. */
export interface Composition {
  readonly servers: readonly OutlineNode[];
  /** Undefined in a file with nothing but background processes. */
  readonly app: OutlineNode | undefined;
  readonly processes: readonly OutlineNode[];
}

export interface CompositionNames {
  /** The application section. Default: `main`. */
  readonly app?: string | undefined;
  /** The server sections. Default: those of `[paster]`, or `main`, if it exists. */
  readonly servers?: readonly string[];
}

/**
 * Resolves an INI file's application and server; runs nothing.
 *
 * @param file An absolute path.
 * @param show How settings are shown. Default: secrets are hidden.
 * @throws ConfigError or ErrorList as the loader does.
 */
export async function compositionOf(
  file: string,
  names: CompositionNames,
  session: LoadSession,
  show?: ShowSetting,
): Promise<Composition> {
  const uri = configUri(file);
  const options = { globalConf: session.callerGlobals };
  const { sections } = await session.read(file);
  const background = (['process', 'task'] as const).flatMap((kind) =>
    namesOfKind(sections.keys(), kind).map((name) => ({ kind, name })),
  );
  const hasApp = names.app !== undefined || background.length === 0 || namesOfKind(sections.keys(), 'app').length > 0;
  const appContext = hasApp ? await loadContext('app', uri, { ...options, name: names.app }, session) : undefined;
  const shown = show ?? (await hideSecrets(file, session));
  const load = async (kind: PartKind, name: string | undefined) =>
    outline(await loadContext(kind, uri, { ...options, name }, session), shown);
  const served = await serverNames(file, names.servers ?? [], session);
  const hasServer = served[0] !== undefined || sections.has('server:main') || sections.has('server');
  return {
    app: appContext && (await outline(appContext, shown)),
    servers: hasServer ? await Promise.all(served.map((name) => load('server', name))) : [],
    processes: await Promise.all(background.map(({ kind, name }) => load(kind, name))),
  };
}

/** A line of the tree, with the place in a column of its own. */
interface Row {
  readonly text: string;
  readonly place: string;
  /** The part of the text that is the name of a section. */
  readonly name?: string;
  /** The role of that section. */
  readonly role?: OutlineNode['role'];
}

/**
 * The composition as a tree, from the outside inwards, with the place of each section in a column of its own. Several servers are
 * above each other, and the application is below the last one. Safe for a terminal.
 *
 * @param options.settings Whether each part's settings are shown.
 * @param paint Colours for a terminal.
 */
export function compositionTree(
  { servers, app, processes }: Composition,
  options: { readonly settings: boolean },
  paint: Paint = plain,
): string {
  const rows: Row[] = [];
  const add = (node: OutlineNode, key: string | undefined, lead: string, indent: string): void => {
    const label = key === undefined ? '' : `${key}  `;
    const name = `[${node.name}]`;
    const { role, uses, location } = node;
    rows.push({ text: `${lead}${label}${name} ${uses}`, place: shownPlace(location), name, role });
    const hasInner = node.inner.length > 0;
    if (options.settings) {
      for (const { name, value, location } of node.settings) {
        const text = value.split('\n').join(' ').trim();
        rows.push({ text: `${indent}${hasInner ? '│' : ' '}    ${name} = ${text}`, place: shownPlace(location) });
      }
    }
    for (const [index, { key: innerKey, node: inner }] of node.inner.entries()) {
      const isLast = index === node.inner.length - 1;
      add(inner, innerKey, `${indent}${isLast ? '└─ ' : '├─ '}`, `${indent}${isLast ? '   ' : '│  '}`);
    }
  };
  const inner = app ? [{ node: app }] : [];
  const last = servers.at(-1);
  for (const server of servers) add({ ...server, inner: server === last ? inner : [] }, undefined, '', '');
  if (app && !last) add(app, undefined, '', '');
  for (const process of processes) add(process, undefined, '', '');
  const shown = rows.map(({ text, place, name = '', role = 'app' }) => ({
    text: printable(text),
    place: printable(place),
    name: printable(name),
    colour: COLOURS[role],
  }));
  const width = Math.min(MAX_COLUMN, Math.max(...shown.map(({ text }) => text.length)));
  return shown
    .map(({ text, place, name, colour }) => {
      const painted = (line: string): string =>
        name === '' ? paint('dim', line) : line.replace(name, () => paint(colour, paint('bold', name)));
      if (place === '') return painted(text.trimEnd());
      return `${painted(text)}${' '.repeat(Math.max(0, width - text.length))}  ${paint('dim', place)}`;
    })
    .join('\n');
}

/** As on the page of `config --html`, where that suits light and dark terminals. */
const COLOURS = {
  server: 'magenta',
  process: 'blue',
  task: 'blue',
  composite: 'cyan',
  filter: 'yellow',
  app: 'green',
} as const;

/** The last column for the places. In a longer line the place follows directly, so that one line does not move all places. */
const MAX_COLUMN = 72;

/**
 * A part and the parts inside it as nested boxes that can be closed, with settings and places.
 * @param id of the element; the parts inside have it with their index behind it
 */
function partHtml(node: OutlineNode, id: string): string {
  const settings = node.settings.map(
    ({ name, value, location }) =>
      `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)} <span class="at">${escapeHtml(shownPlace(location))}</span></dd>`,
  );
  const inner = node.inner.map(
    ({ key, node: part }, index) =>
      `${key === undefined ? '' : `<p class="key"><code>${escapeHtml(key)}</code></p>`}${partHtml(part, `${id}-${index}`)}`,
  );
  return `<details class="part ${node.role}" id="${id}" open><summary><span class="role">${node.role}</span> <strong>[${escapeHtml(node.name)}]</strong>
<span class="at">${escapeHtml(shownPlace(node.location))}</span></summary>
<dl><dt>use</dt><dd>${escapeHtml(node.uses)}</dd>${settings.join('')}</dl>
${inner.join('\n')}</details>`;
}

/** The id of the element of a server. The parts inside the first one would have `server-0`, `server-1`, ... */
export function serverId(index: number): string {
  return index === 0 ? 'server' : `server${index + 1}`;
}

/** The composition as boxes, those of the servers first. */
export function compositionHtml({ servers, app, processes }: Composition): string {
  const parts = [
    ...servers.map((server, index) => partHtml(server, serverId(index))),
    ...(app ? [partHtml(app, 'app')] : []),
    ...processes.map((process, index) => partHtml(process, `process-${index}`)),
  ];
  return parts.join('\n');
}

/** `etc/develop.ini:14`, without the column. */
function shownPlace(location: Location | undefined): string {
  return location ? formatLocation(location).replace(/:\d+$/, '') : '';
}
