/** Shows Markdown that is written for the repository: GitHub's anchors, relative links, code without a language. */
import { dirname, posix, relative } from 'node:path';
import type { MarkdownEnv, MarkdownRenderer } from 'vitepress';
import { sitePath } from './pages.ts';

type Token = ReturnType<MarkdownRenderer['parse']>[number];

const ROOT = dirname(dirname(import.meta.dirname));
const HAS_SCHEME = /^[a-z][a-z0-9+.-]*:/i;

/** The anchor of a heading, as GitHub names it. test/documentation/links.test.ts checks links against the same names. */
export function slugify(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

/** @param repository its URL; undefined: a link to a file that is no page becomes plain text. */
export function extendMarkdown(repository: string | undefined): (md: MarkdownRenderer) => void {
  return (md) => {
    md.core.ruler.push('repository', ({ tokens, env }: { tokens: Token[]; env: MarkdownEnv }) => {
      // VitePress renders a page, or a page's text for the search.
      const source = relative(ROOT, (env as { realPath?: string }).realPath ?? env.path);
      for (const [at, token] of tokens.entries()) {
        // A header without text is none to people who hear the page.
        if (token.type === 'inline' && token.content === '' && tokens[at - 1]?.type === 'th_open') makeCell(tokens, at);
        if (token.type === 'code_block') makeFence(token);
        // Vue takes a path without "./" for a module's name.
        if (token.type === 'html_block')
          token.content = token.content.replace(/(src|srcset)="(?![a-z]+:|[./])/g, '$1="./');
        for (const child of token.children ?? []) {
          // Vue would evaluate "{{name}}".
          if (child.type === 'code_inline') child.attrSet('v-pre', '');
        }
        if (token.children) replaceLinks(token.children, source, repository);
      }
    });
  };
}

/** @param at of the empty content of a header of a table */
function makeCell(tokens: Token[], at: number): void {
  for (const token of [tokens[at - 1], tokens[at + 1]]) if (token) token.tag = 'td';
}

/** A block that is indented by four spaces looks like one with a fence. */
function makeFence(token: Token): void {
  token.type = 'fence';
  token.tag = 'code';
  token.markup = '```';
  token.info = /^\[[a-z]/im.test(token.content) ? 'ini' : 'text';
}

function replaceLinks(tokens: Token[], source: string, repository: string | undefined): void {
  let isText = false;
  for (const token of tokens) {
    if (token.type === 'link_open') {
      const href = linkOnSite(token.attrGet('href') ?? '', source, repository);
      isText = href === undefined;
      if (href !== undefined) token.attrSet('href', href);
    }
    if (isText && (token.type === 'link_open' || token.type === 'link_close')) token.hidden = true;
    if (isText && token.type === 'link_open') token.type = 'text';
    if (isText && token.type === 'link_close') token.type = 'text';
  }
}

/** @returns undefined if the target is nowhere on the site. */
function linkOnSite(href: string, source: string, repository: string | undefined): string | undefined {
  if (HAS_SCHEME.test(href) || href.startsWith('#')) return href;
  const [path = '', anchor] = href.split('#', 2);
  const file = posix.join(posix.dirname(source), path);
  const page = sitePath(file);
  if (page !== undefined) return `/${page}${anchor === undefined ? '' : `#${anchor}`}`;
  return repository && `${repository}/blob/main/${file}`;
}
