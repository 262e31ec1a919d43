/** Style sheet of the catalog page: follows the reader's light or dark setting, and prints. */
export const CATALOG_STYLE = `
:root {
  color-scheme: light dark;
  --text: #1d2521; --muted: #5b6a62; --page: #f6f8f6; --card: #ffffff; --line: #d9e1dc; --accent: #1c7346; --code: #eef3ef;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e4ebe7; --muted: #9cada4; --page: #121715; --card: #1a211e; --line: #2d3833; --accent: #6fd19c; --code: #232c28;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
header.page, main, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
header.page { padding-top: 3rem; padding-bottom: 1rem; border-bottom: 3px solid var(--accent); }
h1 { margin: 0; font-size: 2.1rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 1rem; font-size: 1.3rem; }
h3 { margin: 0; font-size: 1.15rem; overflow-wrap: anywhere; }
a { color: var(--accent); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
p { margin: .6rem 0; }
header.page p, footer { color: var(--muted); }
.count { color: var(--muted); font-weight: 400; }
code { font: .92em ui-monospace, monospace; overflow-wrap: anywhere; }
pre { margin: .8rem 0; padding: .7rem .9rem; background: var(--code); border-radius: .5rem; white-space: pre-wrap; }
.add, article { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; }
.add { margin-top: 1.75rem; padding: 1.1rem 1.4rem; }
.add h2 { margin: 0 0 .6rem; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
article { display: flex; flex-direction: column; padding: 1.1rem 1.2rem; min-width: 0; }
article > header { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; }
article > p { flex-grow: 1; }
article:target { border-color: var(--accent); }
.version { margin: 0; color: var(--muted); overflow-wrap: anywhere; text-align: right; }
.mark { padding: 0 .45em; border: 1px solid currentColor; border-radius: 1em; font-size: .78em; color: var(--accent); }
dl { display: flex; flex-wrap: wrap; gap: .4rem 1.4rem; margin: .4rem 0; }
dt { color: var(--muted); font-size: .8rem; }
dd { margin: 0; }
.keys { flex-direction: column; }
details { margin-top: .3rem; }
summary { cursor: pointer; color: var(--muted); }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
.number { text-align: right; }
footer { padding-top: 2rem; padding-bottom: 3rem; font-size: .88rem; }
@media print { details:not([open]) { display: none; } article { break-inside: avoid; } }
`;
