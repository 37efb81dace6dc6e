# Copyright (c) 2026, gpufleet contributors
# BSD 2-Clause License (see LICENSES/BSD-2-Clause.txt)
# SPDX-License-Identifier: BSD-2-Clause
# This module util is PRIVATE to the collection.

"""The page's style: it loads nothing, follows the reader's light or dark setting, and fits a telephone."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --sheet: #ffffff; --ink: #1c2330; --soft: #566072; --line: #d9dee6; --code: #eef1f5;
  --weights: #3a6ea5; --activation: #c9742b; --libraries: #7d5ba6; --graphs: #1f8a8a; --cache: #4b9b4f;
  --context: #b3567f; --others: #8a93a1; --left: #e8ecf1; --good: #1d7a3e; --warn: #9a6700; --bad: #b3261e;
  --warn-bg: #fff6dd; --bad-bg: #fdeceb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181f; --sheet: #1c222b; --ink: #e6eaf0; --soft: #a3adbb; --line: #323a46; --code: #262d38;
    --weights: #5b93cf; --activation: #d98b47; --libraries: #a184c9; --graphs: #3fb0b0; --cache: #69b86d;
    --context: #d07fa4; --others: #79828f; --left: #2a313c; --good: #6fce8d; --warn: #e3b341; --bad: #ff8a80;
    --warn-bg: #332a12; --bad-bg: #3b1f1d;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
p { margin: .25rem 0; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.small { font-size: .85rem; }
.sheet { background: var(--sheet); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem;
  margin: 0 0 1rem; }
.verdict { font-weight: 600; }
.verdict.good { color: var(--good); } .verdict.bad { color: var(--bad); }
.note { border-left: .25rem solid var(--warn); background: var(--warn-bg); padding: .5rem .75rem; margin: .5rem 0;
  border-radius: .25rem; overflow-wrap: anywhere; }
.note.bad { border-color: var(--bad); background: var(--bad-bg); }
.note ul { margin: .25rem 0 0; padding-left: 1.25rem; }
code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .88em;
  background: var(--code); padding: .05em .3em; border-radius: .25em; overflow-wrap: anywhere; }
.gpus { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: 1rem; }
.gpus .sheet { margin: 0; }
.head { display: flex; flex-wrap: wrap; gap: 0 1rem; justify-content: space-between; }
.bar { display: flex; height: 2rem; margin: .5rem 0; border-radius: .3rem; overflow: hidden; background: var(--left);
  border: 1px solid var(--line); }
.bar span { min-width: 0; border-right: 1px solid var(--sheet); }
.bar span.first { border-left: 3px solid var(--sheet); }
.bar span:first-child { border-left: 0; }
.weights { background: var(--weights); } .activation { background: var(--activation); }
.libraries { background: var(--libraries); } .graphs { background: var(--graphs); } .cache { background: var(--cache); }
.context { background: var(--context); }
.others { background: repeating-linear-gradient(45deg, var(--others) 0 .4rem, var(--left) .4rem .7rem); }
.left { background: var(--left); }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: .2rem; margin-right: .4rem;
  border: 1px solid var(--line); vertical-align: -.08rem; }
ul.legend { list-style: none; margin: 0 0 1rem; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .25rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--soft); font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.value { min-width: 8rem; }
td.value, td.name { overflow-wrap: anywhere; }
td.reason { min-width: 14rem; }
.source { font-size: .8rem; border: 1px solid var(--line); border-radius: 1rem; padding: 0 .5rem; white-space: nowrap; }
.source.user { border-color: var(--weights); color: var(--weights); }
.source.computed { border-color: var(--good); color: var(--good); }
.figures { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: .5rem 0 1rem; padding: 0; }
.figures div { min-width: 7rem; }
.figures dt { color: var(--soft); font-size: .8rem; }
.figures dd { margin: 0; font-size: 1.15rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.off { color: var(--warn); font-weight: 600; }
@media (min-width: 40.01rem) { td.setting code { white-space: nowrap; } }
@media (max-width: 40rem) {
  .stack thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .stack tr { display: block; border-top: 1px solid var(--line); padding: .4rem 0; }
  .stack td, .stack th { display: block; border: 0; padding: .1rem 0; min-width: 0; }
  .stack td.number { text-align: left; }
}
@media print { body { background: none; } .sheet { break-inside: avoid; } }
"""
