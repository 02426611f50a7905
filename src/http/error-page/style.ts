/** The style of the error page, in light and dark, from the width of a telephone on. */
export const ERROR_PAGE_STYLE = `
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #fff; --text: #1c2127; --soft: #565e6b; --line: #d9dde3;
  --error: #b3261e; --error-ground: #fdeceb; --link: #17594a; --code: #fafbfc; --mark: #fde3e1;
  --keyword: #8b2c8f; --string: #1f6b3a; --number: #8a4b00; --comment: #5f6875; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #101317; --card: #181c22; --text: #e6e9ee; --soft: #a3adba; --line: #2e353f;
    --error: #ff8f86; --error-ground: #3a1d1c; --link: #7fd9bd; --code: #12161b; --mark: #4a2220;
    --keyword: #e0a3e6; --string: #93d6a6; --number: #f0b878; --comment: #98a2b0; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
header { background: var(--card); border: 1px solid var(--line); border-top: 4px solid var(--error); border-radius: 8px;
  padding: 1.25rem 1.5rem; }
p { margin: .5rem 0 0; }
.what { margin: 0; color: var(--soft); }
.name { background: var(--error-ground); color: var(--error); border-radius: 4px; padding: .1rem .5rem; margin-right: .4rem;
  font: 600 .875rem ui-monospace, monospace; overflow-wrap: anywhere; }
h1 { margin: .6rem 0 0; font-size: clamp(1.2rem, 4vw, 1.75rem); line-height: 1.3; overflow-wrap: anywhere; white-space: pre-wrap; }
h1.long { font-size: 1.05rem; }
.hint::before { content: "Hint: "; font-weight: 600; }
.hint, .cause { overflow-wrap: anywhere; white-space: pre-wrap; }
.cause span { color: var(--soft); }
.note { color: var(--soft); }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin-top: 1rem; min-height: 2rem; }
button { font: inherit; color: var(--link); background: none; border: 0; padding: 0; cursor: pointer; text-align: left; }
#copy { border: 1px solid var(--line); border-radius: 6px; padding: .25rem .75rem; }
button:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
section, .card { margin-top: 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
ol { list-style: none; margin: 0; padding: 0; }
.stack > li { padding: .75rem 1.5rem; border-top: 1px solid var(--line); }
.stack > li:first-child { border-top: 0; }
.place { display: flex; flex-wrap: wrap; gap: 0 .75rem; margin: 0; font-family: ui-monospace, monospace; font-size: .875rem;
  overflow-wrap: anywhere; }
.place button, .path { min-width: 0; overflow-wrap: anywhere; }
.place button { text-decoration: underline; text-underline-offset: 3px; }
.others { color: var(--soft); }
.others ol { padding: .25rem 0 0 1rem; }
summary { cursor: pointer; color: var(--soft); font-size: .9375rem; width: fit-content; }
.card > summary { padding: .75rem 1.5rem; width: auto; color: var(--text); font-weight: 600; }
pre { margin: .5rem 0 0; padding: .75rem 0; overflow-x: auto; background: var(--code); border: 1px solid var(--line);
  border-radius: 6px; font: .875rem/1.55 ui-monospace, monospace; tab-size: 2; }
pre code { display: block; width: max-content; min-width: 100%; font: inherit; }
.row { display: block; padding: 0 1rem; }
mark.row { background: var(--mark); color: inherit; }
.line { color: var(--comment); user-select: none; }
.number { color: var(--number); }
.caret { color: var(--error); font-weight: 700; }
.keyword { color: var(--keyword); }
.string { color: var(--string); }
.comment { color: var(--comment); }
#text { margin: 0; padding: .75rem 1.5rem; border-width: 1px 0 0; border-radius: 0 0 8px 8px; }
h2 { margin: .75rem 1.5rem .25rem; font-size: .9375rem; }
dl { display: grid; grid-template-columns: minmax(6rem, 14rem) 1fr; gap: .15rem 1rem; margin: 0; padding: 0 1.5rem .75rem;
  font: .875rem/1.5 ui-monospace, monospace; }
dt { color: var(--soft); overflow-wrap: anywhere; }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  main { padding: .75rem .5rem 2rem; }
  header, .stack > li, .card > summary { padding-left: 1rem; padding-right: 1rem; }
  h2 { margin-left: 1rem; margin-right: 1rem; }
  dl { grid-template-columns: 1fr; gap: 0; padding: 0 1rem .75rem; }
  dd { margin-bottom: .4rem; }
}
`;
