import { corpusRowsOfAll, goalsForSlots, ownRows, proseRows, rawGoals, type Row } from './injection-data.ts'
import { bagsOf, bagScore, learn } from './injection-learn.ts'
import { CONCEPT_NAMES } from '../packages/gateway/src/text/injection/words.ts'
const rows = [...corpusRowsOfAll(), ...ownRows(7, goalsForSlots()), ...proseRows(7)]
const t0 = Date.now()
const bags = bagsOf(rows)
console.log(rows.length, 'rows', bags.reduce((n, b) => n + b.windows.length, 0), 'windows', Date.now() - t0, 'ms', CONCEPT_NAMES.length, 'concepts')
function fold(g: string) { let h = 7; for (const c of g) h = Math.imul(h ^ c.charCodeAt(0), 16777619); return (h >>> 3) % 5 }
const oof = new Map<Row, number>(), loso = new Map<Row, number>()
for (let f = 0; f < 5; f++) { const w = learn(bags.filter(b => fold(b.row.group) !== f)); for (const b of bags) if (fold(b.row.group) === f) oof.set(b.row, bagScore(b, w)) }
console.log('cv', Date.now() - t0)
const families = [...new Set(rows.map(r => r.family))]
for (const fam of families) { const w = learn(bags.filter(b => b.row.family !== fam)); for (const b of bags) if (b.row.family === fam) loso.set(b.row, bagScore(b, w)) }
console.log('loso', Date.now() - t0)
const all = learn(bags)
const T = Number(process.env.T ?? 0)
const sets = [...new Set(rows.map(r => r.set))]
for (const s of sets) {
  const bs = bags.filter(b => b.row.set === s); const p = (f: (b: any) => number) => (100 * bs.filter(b => f(b) > T).length / bs.length).toFixed(1).padStart(6)
  console.log((bs[0]!.row.attack ? '+' : '-'), s.padEnd(28), String(bs.length).padStart(5), 'train', p(b => bagScore(b, all)), 'cv', p(b => oof.get(b.row)!), 'loso', p(b => loso.get(b.row)!))
}
for (const [n, rs] of rawGoals()) { const bs = bagsOf(rs); console.log('?', n.padEnd(28), bs.length, (100 * bs.filter(b => bagScore(b, all) > T).length / bs.length).toFixed(1)) }
if (process.env.SHOW) for (const b of bags) { if (!new RegExp(process.env.SHOW).test(b.row.set)) continue; const v = (process.env.BY === 'loso' ? loso : oof).get(b.row)!; if ((v > T) !== b.row.attack) console.log(v.toFixed(2), b.row.set, JSON.stringify(b.row.text.slice(0, 220))) }
