"""The style sheet of the page of all checks: light and dark, for screens of any width, and for paper."""

__all__ = ["STYLE"]

STYLE = """
:root { --paper: #fbfbf9; --card: #ffffff; --ink: #1c2333; --soft: #5d6679; --faint: #b9bfca; --rule: #e3e5ea;
  --line: #4a5468; --node: #f1f3f7; --input: #dfe8f7; --pool: #f3e6f6; --plus: #2f6bb3; --minus: #c8503c;
  --value: #8a5a00; --bar: #8fb0d9; --good: #1d7a46; --goodback: #e1f3e8; --bad: #b3261e; --badback: #fbe4e1; }
@media (prefers-color-scheme: dark) { :root { --paper: #12151c; --card: #1a1f29; --ink: #e7eaf0; --soft: #a2abbd;
  --faint: #596273; --rule: #2c3341; --line: #a9b2c3; --node: #2a3140; --input: #24395a; --pool: #40294a;
  --plus: #7fb2f0; --minus: #f0907c; --value: #f2c14e; --bar: #4f74a6; --good: #74d39b; --goodback: #17352a;
  --bad: #ff9a8f; --badback: #45211f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.2rem clamp(.8rem, 3vw, 2.5rem) 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; overflow-wrap: break-word; }
h1 { font-size: clamp(1.6rem, 4.5vw, 2.4rem); line-height: 1.15; margin: 1rem 0 .6rem; letter-spacing: -.02em; }
h2 { font-size: 1.3rem; margin: 0 0 .5rem; line-height: 1.3; } h3 { font-size: .95rem; margin: 0 0 .5rem; }
a { color: var(--plus); text-decoration: none; } a:hover { text-decoration: underline; } h2 a { color: inherit; }
header > p { max-width: 46rem; color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .8rem; margin: 1.2rem 0; }
.tiles div { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: .8rem 1rem;
  color: var(--soft); font-size: .88rem; }
.tiles b { display: block; color: var(--ink); font-size: 1.45rem; line-height: 1.25; letter-spacing: -.01em; }
p.said { display: inline-block; border-radius: 8px; padding: .35rem .8rem; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); }
header > p.good { color: var(--good); background: var(--goodback); }
header > p.bad { color: var(--bad); background: var(--badback); } header > p.bad a { color: inherit; }
.badge { font-size: .74rem; font-weight: 650; border-radius: 99px; padding: .12rem .6rem; vertical-align: middle;
  white-space: nowrap; } .badge.good { background: var(--goodback); } .badge.bad { background: var(--badback); }
.badge.soft { background: var(--rule); margin: 0; }
nav { margin: 1.4rem 0; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: .8rem; }
th, td { padding: .32rem .6rem .32rem 0; border-bottom: 1px solid var(--rule); }
td { font-variant-numeric: tabular-nums; }
.meter { display: inline-block; width: 5.5rem; height: .5rem; border-radius: 99px; background: var(--rule);
  margin-right: .4rem; overflow: hidden; } .meter i { display: block; height: 100%; background: var(--bar); }
.meter.full i { background: var(--value); }
article { background: var(--card); border: 1px solid var(--rule); border-radius: 14px; margin: 1.4rem 0;
  padding: clamp(.9rem, 2.5vw, 1.6rem); scroll-margin-top: .6rem; }
article > p { margin: .2rem 0 .6rem; max-width: 52rem; }
.formula { overflow-x: auto; padding: .7rem 0; font-size: 1.12rem; text-align: center; } math { max-width: none; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .4rem 0 1rem; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2.4rem; align-items: end; margin: .4rem 0 1rem; }
figure { margin: 0; max-width: 100%; flex: 0 1 24rem; } figure:has(.scroll) { flex: 1 1 22rem; }
figcaption, .soft { color: var(--soft); font-size: .83rem; line-height: 1.4; margin-top: .4rem; }
figure > svg { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; } .scroll svg { display: block; max-width: 100%; height: auto; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15.5rem, 100%), 1fr)); gap: .8rem;
  margin-top: .7rem; }
.card { border: 1px solid var(--rule); border-radius: 10px; padding: .7rem .9rem; min-width: 0;
  max-width: 100%; display: flex; flex-direction: column; }
.card .scroll { margin: auto 0; } .card p { margin: .35rem 0 0; }
.rest { font-size: .87rem; color: var(--soft); } .rest span { margin-right: .9rem; } .rest i { color: var(--ink); }
.sides { font-variant-numeric: tabular-nums; font-size: .92rem; } .sides b { color: var(--bad); padding: 0 .2rem; }
.failure { border-left: 4px solid var(--bad); padding-left: 1rem; margin: 1rem 0; } pre { overflow-x: auto; }
summary { cursor: pointer; font-weight: 600; font-size: .95rem; } .legend { color: var(--soft); font-size: .9rem; }
.legend .p { color: var(--plus); } .legend .m { color: var(--minus); } .legend .v { color: var(--value); }
footer { color: var(--soft); font-size: .82rem; } code { font-size: .9em; }
@media (max-width: 40rem) { .wide { display: none; } dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .4rem; }  body { font-size: 15px; } }
@media print { body { max-width: none; } article, .card { break-inside: avoid; } nav { display: none; } }
"""
