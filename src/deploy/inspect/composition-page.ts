/** The page of `config --html`: the paths of requests through the composition, and every part with its settings. */
import { escapeHtml, htmlPage } from '../../http/html.ts';
import { type Composition, compositionHtml, serverId } from './composition.ts';
import type { OutlineNode } from './outline.ts';

/** The most routes that are shown above the parts. */
const MAX_ROUTES = 50;

/** The parts that a request passes, from the server to an application. */
interface Route {
  /** The keys of the composites among them, such as `/shop`. */
  readonly keys: readonly string[];
  readonly steps: readonly { readonly id: string; readonly node: OutlineNode }[];
}

export function compositionPage(title: string, composition: Composition): string {
  const all = routesThrough(composition);
  const more = all.length > MAX_ROUTES ? `<p class="soft">and ${all.length - MAX_ROUTES} more</p>` : '';
  return htmlPage(
    title,
    `<h1>${escapeHtml(title)}</h1>
<nav aria-label="Routes of requests">${all.slice(0, MAX_ROUTES).map(routeHtml).join('\n')}${more}</nav>
${compositionHtml(composition)}`,
    { style: STYLE },
  );
}

function routesThrough({ servers, app }: Composition): Route[] {
  if (!app) return [];
  const visit = (node: OutlineNode, id: string, { keys, steps }: Route): Route[] => {
    const here = [...steps, { id, node }];
    if (node.inner.length === 0) return [{ keys, steps: here }];
    return node.inner.flatMap(({ key, node: inner }, index) =>
      visit(inner, `${id}-${index}`, { keys: key === undefined ? keys : [...keys, key], steps: here }),
    );
  };
  const entries = servers.map((node, index) => [{ id: serverId(index), node }]);
  return (entries.length > 0 ? entries : [[]]).flatMap((steps) => visit(app, 'app', { keys: [], steps }));
}

function routeHtml({ keys, steps }: Route): string {
  const links = steps.map(
    ({ id, node }) =>
      `<li class="${node.role}"><a href="#${id}" title="${escapeHtml(node.uses)}">${escapeHtml(node.name)}</a></li>`,
  );
  const label = keys.length === 0 ? '' : `<code>${escapeHtml(keys.join(' '))}</code> `;
  return `<div class="way">${label}<ol>${links.join('')}</ol></div>`;
}

/** A colour for each role. */
const STYLE = `
:root { --server: #5b3fb5; --composite: #1f5fbf; --filter: #8a5300; --app: #1f6f54; --process: #7a3b6b; }
@media (prefers-color-scheme: dark) {
  :root { --server: #b9a5ff; --composite: #8ab8ff; --filter: #f0b45f; --app: #6fd3ae; --process: #e0a3d0; }
}
.server { --accent: var(--server); } .composite { --accent: var(--composite); }
.filter { --accent: var(--filter); } .app { --accent: var(--app); } .process, .task { --accent: var(--process); }
summary { cursor: pointer; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.part:target { box-shadow: 0 0 0 2px var(--accent); }
nav { margin: 1rem 0; }
.way { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: center; margin: .35rem 0; }
.way code { min-width: 5rem; }
.way ol { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; list-style: none; margin: 0; padding: 0; }
.way li { border: 1px solid var(--accent); border-radius: 6px; background: var(--card); padding: 0 .5rem; position: relative; }
.way li:not(:last-child)::after { content: "→"; position: absolute; right: -1.25rem; color: var(--soft); }
.way a { text-decoration: none; overflow-wrap: anywhere; }
.way a:hover { text-decoration: underline; }
`;
