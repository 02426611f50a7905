/** Escapes text for HTML, and makes whole pages. */
const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as HTML text or as a quoted attribute's value. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

/** What a page has besides its body. */
export interface PageParts {
  /** Rules of CSS to add to those of every page. */
  readonly style?: string;
  /** A script that runs when the body is complete. */
  readonly script?: string;
  /** Elements of the head, as HTML. */
  readonly head?: string;
}

/** A whole page, also for telephones and dark mode. It loads nothing. */
export function htmlPage(title: string, body: string, { style = '', script, head = '' }: PageParts = {}): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
${head}<style>${PAGE_STYLE}${style}</style>
</head>
<body>
<main>
${body}
</main>
${script === undefined ? '' : `<script>${script}</script>\n`}</body>
</html>
`;
}

/** The style of every page. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --line: #d0d4da; --soft: #5c6470; --card: #f6f7f9; --mark: #b3261e; --accent: #1f6f54; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3a4049; --soft: #a2abb8; --card: #1e2228; --mark: #ff8a80; --accent: #6fd3ae; }
  body { background: #14171b; color: #e7eaee; }
}
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
p { margin: .25rem 0 1rem; }
a { color: var(--accent); }
code, pre, .at { font-family: ui-monospace, monospace; font-size: .875em; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .75rem; background: var(--card); border: 1px solid var(--line); border-radius: 6px; }
.at, .soft { color: var(--soft); }
.part { border: 1px solid var(--line); border-left: 4px solid var(--accent); border-radius: 6px; background: var(--card);
  padding: .6rem .75rem; margin: .6rem 0 0; }
.part > .part { margin-left: 0; }
.part dl { display: grid; grid-template-columns: fit-content(40%) 1fr; gap: 0 .75rem; margin: .3rem 0 0; }
.part dt, .part dd { margin: 0; font-family: ui-monospace, monospace; font-size: .875em; overflow-wrap: anywhere; }
.part dt { color: var(--soft); }
.role { font-size: .75rem; letter-spacing: .04em; text-transform: uppercase; color: var(--accent); }
.key { margin: .75rem 0 -.35rem; }
`;
