// `npm run train:injection`: learns the weights of the injection signal from the shared corpora, our own samples and harmless
// prose, by one seed; writes packages/gateway/src/text/injection/weights.ts and docs/injection-model.md.
import { writeFileSync } from 'node:fs'
import { packed, unpacked, type Model } from '../packages/gateway/src/text/injection/model.ts'
import { scored } from '../packages/gateway/src/text/injection/index.ts'
import {
  CORPORA,
  blindRows,
  corporaPresent,
  corpusRowsOfAll,
  goalsForSlots,
  hashOf,
  ownRows,
  proseRows,
  rawGoals,
  type Row,
} from './injection-data.ts'
import { EVASIONS, NAMED, flagged, namedAttacks, tenKilobytes } from './injection-evasion.ts'
import { bagScore, bagsOf, learn, platt } from './injection-learn.ts'

const SEED = 20_261
const FOLDS = 5
/** Most harmless texts that may be flagged per set, in percent, while the threshold is chosen; ours speak of attacks. */
const MOST = { notinject: 5, readmes: 2, other: 1 }
/** One step of a weight's byte: weights up to 127 steps. */
const STEP = 1 / 32

if (!corporaPresent()) {
  console.error(
    `train:injection: no corpora at \`${CORPORA}\`; set CALLGATE_CORPORA to the folder that holds prompt-injection/. Nothing was written.`,
  )
  process.exit(1)
}
const own = ownRows(SEED, goalsForSlots())
const corpora = corpusRowsOfAll()
const prose = proseRows(SEED)
if (prose.length < 100) {
  console.error(
    `train:injection: only ${prose.length} pages of prose found; run \`npm install\` for more. Going on.`,
  )
}
const rows = [...corpora, ...own, ...prose]
const dataHash = hashOf([...corpora, ...own])
const bags = bagsOf(rows)
console.log(`${rows.length} texts, data ${dataHash.slice(0, 16)}`)

/** Scores of rows by a model that has not seen them, part by part. */
function unseen(partOf: (row: Row) => string): Map<Row, number> {
  const scores = new Map<Row, number>()
  for (const part of new Set(rows.map(partOf))) {
    const weights = learn(bags.filter(({ row }) => partOf(row) !== part))
    for (const bag of bags) if (partOf(bag.row) === part) scores.set(bag.row, bagScore(bag, weights))
    console.log(`left out ${part}`)
  }
  return scores
}

function foldOf({ group }: Row): string {
  let hash = 7
  for (let i = 0; i < group.length; i++) hash = Math.imul(hash ^ group.charCodeAt(i), 16_777_619)
  return `fold ${(hash >>> 3) % FOLDS}`
}

const crossed = unseen(foldOf)
const weights = unpacked(packed(learn(bags), STEP), STEP)
const scale = platt(rows.map((row) => ({ score: crossed.get(row) ?? 0, attack: row.attack })))
const sourced = unseen((row) => row.family)

const sets = [...new Set(rows.map((row) => row.set))]
const rowsOf = new Map(sets.map((set) => [set, rows.filter((row) => row.set === set)]))
const judged = sets.filter((set) => !set.startsWith('own-'))

/** The lowest sum at which no harmless set of the corpora is flagged more than allowed, seen or unseen. */
function threshold(): number {
  const trained = new Map(bags.map((bag) => [bag.row, bagScore(bag, weights)]))
  const candidates = [...new Set([0, ...crossed.values()])].filter((sum) => sum >= 0).sort((a, b) => a - b)
  const fits = (limit: number): boolean =>
    judged.every((set) => {
      const of = rowsOf.get(set) ?? []
      if (of[0]?.attack !== false) return true
      const most = set === 'notinject' || set === 'readmes' ? MOST[set] : MOST.other
      return [crossed, trained].every(
        (scores) => flagged(of, (row) => (scores.get(row) ?? 0) > limit) <= most,
      )
    })
  return candidates.find(fits) ?? candidates.at(-1) ?? 0
}

const limit = threshold() + 0.05
const probability = Math.round(1e4 / (1 + Math.exp(-(scale.slope * limit + scale.offset)))) / 1e4
const model: Model = { weights, ...scale }
const file = `// Written by \`npm run train:injection\`; what it means is in docs/injection-model.md.
export const MODEL = {
  dataHash: '${dataHash}',
  seed: ${SEED},
  step: ${STEP},
  slope: ${scale.slope},
  offset: ${scale.offset},
  threshold: ${probability},
  weights:
    '${packed(weights, STEP)}',
}
`
writeFileSync(new URL('../packages/gateway/src/text/injection/weights.ts', import.meta.url), file)

// ── The report ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

const isFlagged = (row: Row): boolean => scored(row.text, row.surface, model).score >= probability
const percent = (value: number): string => value.toFixed(1)
const table = (head: readonly string[], lines: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

function bySet(attack: boolean): string {
  const lines = sets
    .map((set) => [set, rowsOf.get(set) ?? []] as const)
    .filter(([, of]) => of[0]?.attack === attack)
    .map(([set, of]) => [
      set,
      of[0]?.family ?? '',
      String(of.length),
      percent(flagged(of, isFlagged)),
      percent(flagged(of, (row) => (crossed.get(row) ?? 0) >= limit)),
      percent(flagged(of, (row) => (sourced.get(row) ?? 0) >= limit)),
    ])
  return table(['set', 'source', 'texts', 'trained', 'cross-validated', 'source left out'], lines)
}

const attacks = namedAttacks(corpora)
const plainly = flagged(attacks, isFlagged)
const evasions = Object.entries(EVASIONS).map(([name, hide]) => {
  const share = flagged(attacks, (row) => isFlagged({ ...row, text: hide(row.text) }))
  return [name, NAMED.includes(name) ? 'yes' : 'no', percent(share), percent(plainly - share)]
})
const benign = corpora.filter((row) => !row.attack && row.surface === 'tool_result')
const sample = tenKilobytes(benign)
function cost(text: string): string {
  const times = Array.from({ length: 300 }, () => {
    const start = process.hrtime.bigint()
    scored(text, 'tool_result', model)
    return Number(process.hrtime.bigint() - start) / 1e6
  })
  return (times.sort((a, b) => a - b)[150] ?? 0).toFixed(2)
}
const ascii = sample.replaceAll(/[^\t\n\r -~]/g, 'x')
const report = `# The injection signal

Written by \`npm run train:injection\` (seed ${SEED}); do not edit. Data: sha256 \`${dataHash}\` over ${corpora.length} texts of the
shared corpora and ${own.length} made from our own samples (packages/gateway/src/text/injection/training/), besides
${prose.length} pages of harmless prose (READMEs of installed packages and pages of this repository, sha256 \`${hashOf(prose)}\`,
not committed and not part of the data hash).

## What it is

A text is folded, decoded and put together again (text/normalise.ts), taken apart into words, and each word that an instruction
to a model is made of stands for a concept (override, prior, secrecy, send, secret, ...), the same in many languages. A logistic
regression weighs concepts, their order and their neighbourhood, and hashed words less. It scores windows of two blocks of about
28 words; the highest window of all readings counts. The score is calibrated (Platt) on cross-validated scores with as many
attacks as harmless texts. The threshold, ${probability}, is one for all surfaces: the lowest at which no harmless set of the
corpora is flagged above 1 % (NotInject: 5 %, our pages of prose: 2 %), trained or cross-validated. It was chosen on the cross-validated scores, so those
columns are slightly kind to it.

**It is a signal for policy and taint, never the only net.**

## Attacks flagged, in percent

Cross-validated: five folds, parted by line of our samples, server, goal or row. Source left out: nothing of that source was
trained on; this column is the forecast for texts of other origin.

${bySet(true)}

\`msb-poisoned\` are the rows of the attack kinds of msb-tool-definitions whose text carries the attack; in the other rows of those
kinds the attack is in results or names, and the text is word for word that of the harmless server (\`msb-plain\`).

## Harmless texts flagged, in percent

${bySet(false)}

## Texts that nobody had seen

Written for this by somebody who knew neither our samples nor the corpora, and never trained on
(packages/gateway/src/text/injection/testdata/blind.jsonl). **This is the best forecast there is**: the columns above are kinder,
since samples of ours were written after a look at what was missed there.

${table(
  ['set', 'attack', 'texts', 'flagged'],
  [...Map.groupBy(blindRows(), ({ set }) => set)].map(([set, of]) => [
    set,
    of[0]?.attack === true ? 'yes' : 'no',
    String(of.length),
    percent(flagged(of, isFlagged)),
  ]),
)}

## Hidden attacks

Flagged of the ${attacks.length} named attacks (cisco-remote-malicious, msb-poisoned, agentdojo-wrapped) plainly: ${percent(plainly)} %.
These texts were trained on as they are; none was trained on hidden. At most 5 points may be lost where "named" says yes.

${table(['hidden by', 'named', 'flagged', 'points lost'], evasions)}

## Without a wrapper

Told only: a wish that addresses nobody and overrides nothing is no injection by its words.

${table(
  ['set', 'texts', 'flagged'],
  [...rawGoals()].map(([name, of]) => [name, String(of.length), percent(flagged(of, isFlagged))]),
)}

## Cost

Median of 300 on the machine that trained, one process: ${cost(ascii)} ms per 10 KB of ASCII, ${cost(sample)} ms per 10 KB as
it is in the corpora. Weights: ${Math.round(file.length / 1024)} KB in the committed file.

## Limits

- The requirement's lines hold on the corpora as trained. Where the goal or the source was not seen, they need not: compare
  agentdojo-wrapped and msb-poisoned in the last two columns. Short goals behind a bare \`TODO:\` are what is missed first.
- The forecast is kind in three ways: the model's design was tried against it; goals of the corpora fill slots of our samples; and
  our samples of announced malice name tools in the manner that cisco-remote-malicious does.
- Letters that stand apart are joined where longer gaps part the words; without any gaps they stay one unknown word.
- Sources left out are flagged less than trained ones. Our samples are the main breadth of the model: with all of them left out,
  little is left, and a style of attack that neither they nor the corpora have will pass.
- Announced malice (\`cisco-remote-malicious\`) is read by the words of attack tools in definitions only. Honest security tools use
  them too: expect such tools to be flagged and approve them by hand.
- The weights see hashed words, so a word of a source may count where it should not; the column "source left out" shows how much.
- Long instructions to agents in honest definitions are the nearest miss. Pages of technical prose are flagged far more often when
  no such page was trained on.
- Languages with word lists: English, German, French, Spanish, Italian, Portuguese, Russian, Chinese, Japanese, Korean; a few
  words of others. Elsewhere only links, marks and hashed words speak.
- Attacks by meaning alone (false facts, persuasion, riddles, other ciphers than base64, hexadecimal, rot13 and reversal) pass.
`
writeFileSync(new URL('../docs/injection-model.md', import.meta.url), report)
console.log(
  `threshold ${probability} (sum ${limit.toFixed(2)}), weights ${Math.round(file.length / 1024)} KB`,
)
