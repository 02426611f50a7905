/** The page for a developer who has just started a project: what runs, which file to edit, and what to do next. */
import { relative } from 'node:path';
import type { Context } from '../deploy/context.ts';
import { innerContexts } from '../deploy/inspect/outline.ts';
import { frameworkOf } from '../deploy/programs/frameworks.ts';
import { readManifest } from '../deploy/programs/manifest.ts';
import { escapeHtml, htmlPage } from '../http/html.ts';
import { isOwnFile, ownVersion } from '../own-files.ts';
import { workingDirectory } from '../working-directory.ts';

export interface Welcome {
  /** The heading, and a sentence below it. */
  readonly title: string;
  readonly lead: string;
  /** Further rows: names and values. */
  readonly facts?: readonly (readonly [name: string, value: string])[];
  /** Paths that the browser can ask for. */
  readonly links?: readonly string[];
  /** HTML after all other content. */
  readonly more?: string;
}

/** What is known of a project without running it. */
export interface ProjectFacts {
  readonly framework: string | undefined;
  readonly documentation: readonly (readonly [name: string, url: string])[];
  /** The application's own file, relative to the working directory. */
  readonly source: string | undefined;
  readonly ini: string | undefined;
}

const DOCUMENTATION: Readonly<Record<string, string>> = {
  AdonisJS: 'https://docs.adonisjs.com/',
  Astro: 'https://docs.astro.build/',
  Express: 'https://expressjs.com/',
  Fastify: 'https://fastify.dev/docs/latest/',
  h3: 'https://h3.dev/',
  Hapi: 'https://hapi.dev/',
  Hono: 'https://hono.dev/docs/',
  Koa: 'https://koajs.com/',
  NestJS: 'https://docs.nestjs.com/',
  'Next.js': 'https://nextjs.org/docs',
  Nuxt: 'https://nuxt.com/docs',
};

export async function projectFacts(context: Context): Promise<ProjectFacts> {
  const ini = context.globalConf['__file__'];
  const file = await sourceOf(context);
  const manifest = readManifest(workingDirectory());
  const framework = file === undefined ? undefined : frameworkOf((name) => manifest.uses(name))?.name;
  const url = framework === undefined ? undefined : DOCUMENTATION[framework];
  return {
    framework,
    documentation: [
      ...(framework && url ? [[framework, url] as const] : []),
      ['Node.js', `https://nodejs.org/docs/latest-v${process.versions.node.split('.')[0]}.x/api/`],
    ],
    source: file && fromHere(file),
    ini: ini && fromHere(ini),
  };
}

/** The paths that a composite at the root passes to applications, without the root itself. */
export async function mountPaths(context: Context): Promise<string[]> {
  const inner = await innerContexts(context);
  const keys = inner.flatMap(({ key }) => key ?? []);
  if (keys.length > 0) return keys.filter((key) => /^\/\S/.test(key));
  const next = inner.at(-1);
  return next ? mountPaths(next.context) : [];
}

/** The file of the first application that is not one of paster's own. */
async function sourceOf(context: Context): Promise<string | undefined> {
  if (context.form === 'factory' && context.kind === 'app') {
    const { file } = context.target;
    if (file !== undefined && !isOwnFile(file) && !file.includes('/node_modules/')) return file;
  }
  for (const inner of await innerContexts(context)) {
    const found = inner.context.kind === 'app' ? await sourceOf(inner.context) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function fromHere(file: string): string {
  const path = relative(workingDirectory(), file);
  return path === '' || path.startsWith('..') ? file : path;
}

export function welcomePage(
  project: ProjectFacts,
  { title, lead, facts = [], links = [], more = '' }: Welcome,
): string {
  const { framework, documentation, source, ini } = project;
  const rows: (readonly [string, string | undefined])[] = [
    ['Framework', framework],
    ['Application', source],
    ['Configuration', ini],
    ['Server', `paster ${ownVersion()}, Node ${process.versions.node}`],
    ...facts,
  ];
  const shown = rows.flatMap(([name, value]) =>
    value === undefined ? [] : [`<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`],
  );
  return htmlPage(
    title,
    `<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(lead)}</p>
<dl class="facts">${shown.join('\n')}</dl>
${section('Try', list(links.map((path) => `<a href="${escapeHtml(path)}"><code>${escapeHtml(path)}</code></a>`)))}
${section('Next steps', list(nextSteps(source, ini)))}
${section('Documentation', list(documentation.map(([name, url]) => `<a href="${escapeHtml(url)}">${escapeHtml(name)}</a>`)))}
${more}`,
    { style: STYLE },
  );
}

function nextSteps(source: string | undefined, ini: string | undefined): string[] {
  const code = (text: string): string => `<code>${escapeHtml(text)}</code>`;
  const file = source ?? ini;
  return [
    ...(file === undefined
      ? []
      : [`Edit ${code(file)}. With ${code('serve --reload')} this page changes when you save.`]),
    ...(ini === undefined
      ? [`Write an INI file for it: ${code('npx paster create .')}`]
      : [
          `Show which part wraps which: ${code(`npx paster config --tree ${ini}`)}`,
          `Find errors in it without serving: ${code(`npx paster check ${ini}`)}`,
        ]),
    `See all commands: ${code('npx paster help')}`,
  ];
}

function list(items: readonly string[]): string {
  return items.length === 0 ? '' : `<ul>${items.map((item) => `<li>${item}</li>`).join('\n')}</ul>`;
}

function section(title: string, html: string): string {
  return html === '' ? '' : `<h2>${title}</h2>\n${html}`;
}

const STYLE = `
h2 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; }
.facts { display: grid; grid-template-columns: fit-content(40%) 1fr; gap: .25rem 1.25rem; margin: 1.25rem 0 0; padding: 1rem 1.25rem;
  background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--accent); border-radius: 8px; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
ul { margin: 0; padding-left: 1.25rem; }
li { margin: .35rem 0; }
details { margin-top: 1.75rem; }
summary { cursor: pointer; font-weight: 600; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 30rem) { .facts { grid-template-columns: 1fr; gap: 0; } .facts dd { margin-bottom: .5rem; } }
`;
