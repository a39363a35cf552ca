import type { JsonObject } from '../../packages/gateway/src/call/json.ts'
import {
  type Ask,
  NEEDED,
  ROOTS,
  type Run,
  type Tool,
  answerTo,
  canonical,
  elicit,
  sample,
  text,
  textArgument,
  tool,
} from './fixture-call.ts'

const NAME: JsonObject = { name: { type: 'string' } }

/** Asks all questions at once and answers when each of them has an answer. */
function asks(
  questions: Readonly<Record<string, Ask>> | ((args: JsonObject) => Readonly<Record<string, Ask>>),
  say: (answers: JsonObject, args: JsonObject) => string,
  state?: JsonObject,
): Run {
  return (call) => {
    const ask = typeof questions === 'function' ? questions(call.args) : questions
    const answers: Record<string, JsonObject> = {}
    for (const [key, { method }] of Object.entries(ask)) {
      const answer = answerTo(call, key, method)
      if (answer !== undefined) answers[key] = answer
    }
    const complete = Object.keys(answers).length === Object.keys(ask).length
    if (complete && (state === undefined || call.state !== undefined)) return text(say(answers, call.args))
    return { ask, ...(state === undefined ? {} : { state }) }
  }
}

const said = (name: string) => (answers: JsonObject) => `${name}: ${canonical(answers)}`

/** A question and another one that follows from its answer. */
const twoSteps: Run = (call) => {
  const first = call.state?.['round'] === 1 ? answerTo(call, 'step1', 'elicitation/create') : undefined
  if (call.state?.['round'] === 2) {
    const second = answerTo(call, 'step2', 'elicitation/create')
    if (second !== undefined) return text(said('Both steps')({ ...call.state, second }))
  }
  if (first === undefined && call.state?.['round'] !== 2) {
    return { ask: { step1: elicit('Step 1: What is your name?', NAME, ['name']) }, state: { round: 1 } }
  }
  const color: JsonObject = { color: { type: 'string' } }
  return {
    ask: { step2: elicit('Step 2: What is your favorite color?', color, ['color']) },
    state: { round: 2, first: first ?? call.state?.['first'] ?? null },
  }
}

/** Asks for whatever the client said that it can give, and for nothing else. */
const withinCapabilities: Run = (call) => {
  const every: Readonly<Record<string, Ask>> = {
    who: elicit('What is your name?', NAME, ['name']),
    greeting: sample('Generate a greeting', 50),
    roots: ROOTS,
  }
  const ask = Object.fromEntries(
    Object.entries(every).filter(([, { method }]) => Object.hasOwn(call.capabilities, NEEDED[method])),
  )
  const open = Object.entries(ask).filter(([key, { method }]) => answerTo(call, key, method) === undefined)
  return open.length === 0 ? text(said('Answers')(call.inputs)) : { ask }
}

const withProgress: Run = async (call) => {
  call.progress(0)
  const answer = answerTo(call, 'confirm', 'elicitation/create')
  if (answer !== undefined) return text(said('Confirmed')(answer))
  return { ask: { confirm: elicit('Go on?', { ok: { type: 'boolean' } }) } }
}

const OPTIONS = ['option1', 'option2', 'option3']
const TITLED = [
  { const: 'value1', title: 'First Option' },
  { const: 'value2', title: 'Second Option' },
  { const: 'value3', title: 'Third Option' },
]

/** Tools that need something from the host: its user, its model or its folders. */
export const askingTools: Readonly<Record<string, Tool>> = {
  test_sampling: tool(
    'Asks the model of the host.',
    asks(({ prompt }) => ({ reply: sample(String(prompt)) }), said('LLM response')),
    textArgument('prompt', 'What to ask the model'),
  ),
  test_elicitation: tool(
    'Asks the user of the host.',
    asks(
      ({ message }) => ({
        reply: elicit(
          String(message),
          {
            username: { type: 'string', description: "User's response" },
            email: { type: 'string', description: "User's email address" },
          },
          ['username', 'email'],
        ),
      }),
      said('User response'),
    ),
    textArgument('message', 'What to ask the user'),
  ),
  test_elicitation_sep1034_defaults: tool(
    'Asks with a default for every primitive type.',
    asks(
      {
        reply: elicit('Check your profile', {
          name: { type: 'string', default: 'John Doe' },
          age: { type: 'integer', default: 30 },
          score: { type: 'number', default: 95.5 },
          status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
          verified: { type: 'boolean', default: true },
        }),
      },
      said('Elicitation completed'),
    ),
  ),
  test_elicitation_sep1330_enums: tool(
    'Asks with every form of a choice.',
    asks(
      {
        reply: elicit('Choose', {
          untitledSingle: { type: 'string', enum: OPTIONS },
          titledSingle: { type: 'string', oneOf: TITLED },
          legacyEnum: {
            type: 'string',
            enum: ['opt1', 'opt2', 'opt3'],
            enumNames: ['Option One', 'Option Two', 'Option Three'],
          },
          untitledMulti: { type: 'array', items: { type: 'string', enum: OPTIONS } },
          titledMulti: { type: 'array', items: { anyOf: TITLED } },
        }),
      },
      said('Elicitation completed'),
    ),
  ),
  test_missing_capability: tool(
    'Needs sampling, whatever the client declared.',
    asks({ reply: sample('Are you there?') }, said('LLM response')),
  ),
  test_streaming_elicitation: tool('Tells its progress, then asks the user.', withProgress),
  test_input_required_result_elicitation: tool(
    'Asks the user for a name.',
    asks({ user_name: elicit('What is your name?', NAME, ['name']) }, said('Hello')),
  ),
  test_input_required_result_sampling: tool(
    'Asks the model for a capital.',
    asks({ capital_question: sample('What is the capital of France?') }, said('LLM response')),
  ),
  test_input_required_result_list_roots: tool(
    'Asks for the folders of the client.',
    asks({ client_roots: ROOTS }, said('Roots')),
  ),
  test_input_required_result_request_state: tool(
    'Asks, and needs its own state back.',
    asks({ confirm: elicit('Please confirm', { ok: { type: 'boolean' } }, ['ok']) }, said('state-ok'), {
      waiting: 'confirm',
    }),
  ),
  test_input_required_result_multiple_inputs: tool(
    'Asks user, model and folders at once.',
    asks(
      {
        user_name: elicit('What is your name?', NAME, ['name']),
        greeting: sample('Generate a greeting', 50),
        client_roots: ROOTS,
      },
      said('All three'),
      { waiting: 'all' },
    ),
  ),
  test_input_required_result_multi_round: tool('Asks twice, one after the other.', twoSteps),
  test_input_required_result_tampered_state: tool(
    'Asks with a state that must come back unchanged.',
    asks({ confirm: elicit('Please confirm', { ok: { type: 'boolean' } }, ['ok']) }, said('state-ok'), {
      waiting: 'tampered',
    }),
  ),
  test_input_required_result_capabilities: tool(
    'Asks only for what the client can give.',
    withinCapabilities,
  ),
}
