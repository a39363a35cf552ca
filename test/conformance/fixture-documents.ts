import type { JsonObject } from '../../packages/gateway/src/call/json.ts'
import { type Run, answerTo, canonical, elicit } from './fixture-call.ts'
import { PNG } from './fixture-tools.ts'

/** The resource that clients subscribe to. */
export const WATCHED = 'test://watched-resource'

export const RESOURCES: readonly JsonObject[] = [
  ['test://static-text', 'Static text', 'A text that never changes', 'text/plain'],
  ['test://static-binary', 'Static binary', 'An image that never changes', 'image/png'],
  [WATCHED, 'Watched', 'A text that clients subscribe to', 'text/plain'],
].map(([uri = '', name = '', description = '', mimeType = '']) => ({ uri, name, description, mimeType }))

export const TEMPLATES: readonly JsonObject[] = [
  {
    uriTemplate: 'test://template/{id}/data',
    name: 'Template',
    description: 'Data for any id',
    mimeType: 'application/json',
  },
]

/** What a resource contains, undefined when there is none. */
export function readResource(uri: string): JsonObject | undefined {
  if (uri === 'test://static-text') {
    return { uri, mimeType: 'text/plain', text: 'This is the content of the static text resource.' }
  }
  if (uri === 'test://static-binary') return { uri, mimeType: 'image/png', blob: PNG }
  if (uri === WATCHED) return { uri, mimeType: 'text/plain', text: 'This resource is watched.' }
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1]
  if (id === undefined) return undefined
  const text = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` })
  return { uri, mimeType: 'application/json', text }
}

export interface Prompt {
  readonly description: string
  readonly arguments: readonly JsonObject[]
  readonly run: Run
}

const says = (...contents: readonly JsonObject[]) => ({
  result: { messages: contents.map((content) => ({ role: 'user', content })) },
})
const argument = (name: string): JsonObject => ({ name, description: `The ${name}`, required: true })

/** The prompts that the conformance suite gets, in the order in which they are listed. */
export const PROMPTS: Readonly<Record<string, Prompt>> = {
  test_simple_prompt: {
    description: 'One text.',
    arguments: [],
    run: () => says({ type: 'text', text: 'This is a simple prompt for testing.' }),
  },
  test_prompt_with_arguments: {
    description: 'Repeats its arguments.',
    arguments: [argument('arg1'), argument('arg2')],
    run: ({ args }) =>
      says({
        type: 'text',
        text: `Prompt with arguments: arg1='${String(args['arg1'])}', arg2='${String(args['arg2'])}'`,
      }),
  },
  test_prompt_with_embedded_resource: {
    description: 'Embeds the resource that its argument names.',
    arguments: [argument('resourceUri')],
    run: ({ args }) =>
      says(
        {
          type: 'resource',
          resource: {
            uri: String(args['resourceUri']),
            mimeType: 'text/plain',
            text: 'Embedded resource content for testing.',
          },
        },
        { type: 'text', text: 'Please process the embedded resource above.' },
      ),
  },
  test_prompt_with_image: {
    description: 'Shows an image.',
    arguments: [],
    run: () =>
      says(
        { type: 'image', data: PNG, mimeType: 'image/png' },
        { type: 'text', text: 'Please analyze the image above.' },
      ),
  },
  test_input_required_result_prompt: {
    description: 'Asks the user for its context.',
    arguments: [],
    run: (call) => {
      const answer = answerTo(call, 'user_context', 'elicitation/create')
      if (answer !== undefined) return says({ type: 'text', text: `Context: ${canonical(answer)}` })
      const context: JsonObject = { context: { type: 'string' } }
      return {
        ask: { user_context: elicit('What context should the prompt use?', context, ['context']) },
      }
    },
  },
}
