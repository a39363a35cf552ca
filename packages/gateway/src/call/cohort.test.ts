import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cohort } from './cohort.ts'

test('those of one turn go on together, one step of all before the next of any, and later ones in a later turn', async () => {
  const cohort = new Cohort()
  const steps: string[] = []
  const walk = async (name: string): Promise<void> => {
    await cohort.turn()
    steps.push(`${name}1`)
    await Promise.resolve()
    steps.push(`${name}2`)
  }
  const late = (async () => {
    await cohort.turn()
    await walk('late')
  })()
  await Promise.all([walk('a'), walk('b')])
  assert.deepEqual(steps, ['a1', 'b1', 'a2', 'b2'])
  await late
  assert.deepEqual(steps.slice(4), ['late1', 'late2'])
})

test('nobody goes on before the events of this turn are over, and nothing that others do keeps him', async () => {
  const cohort = new Cohort()
  let gone = false
  const turn = cohort.turn().then(() => (gone = true))
  for (let i = 0; i < 10; i++) await Promise.resolve()
  assert.equal(gone, false)
  void cohort
    .turn()
    .then(() => Promise.reject(new Error('ours')))
    .catch(() => undefined)
  await turn
  assert.equal(gone, true)
})
