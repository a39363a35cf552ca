import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonObject } from '../../packages/gateway/src/call/json.ts'
import { type Run, type Tool, text, tool } from './fixture-call.ts'
import { askingTools } from './fixture-asking.ts'

/** One red pixel. */
export const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC'
/** One silent sample. */
const WAV = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA=='

const PAUSE_MS = 50

const logging: Run = async ({ log, signal }) => {
  log('Tool execution started')
  await sleep(PAUSE_MS, undefined, { signal })
  log('Tool processing data')
  await sleep(PAUSE_MS, undefined, { signal })
  log('Tool execution completed')
  return text('The tool wrote three log messages.')
}

/** Schema that a gateway may not thin out (SEP-1613, SEP-2106). */
const EVERY_KEYWORD: JsonObject = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema, nothing to await
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
}

/**
 * The tools that the conformance suite calls, in the order in which they are listed.
 * @param trigger makes a list change, or tells that a resource did
 */
export function createTools(trigger: {
  readonly tools: () => void
  readonly prompts: () => void
  readonly resource: () => void
}): Readonly<Record<string, Tool>> {
  const triggering = (what: string, change: () => void): Tool =>
    tool(`Changes ${what} and tells whoever listens.`, () => {
      change()
      return text(`Changed ${what}.`)
    })

  return {
    // The suite calls the tool that is listed first without arguments.
    test_simple_text: tool('Answers with one text.', () =>
      text('This is a simple text response for testing.'),
    ),
    test_image_content: tool('Answers with an image.', () => ({
      result: { content: [{ type: 'image', data: PNG, mimeType: 'image/png' }] },
    })),
    test_audio_content: tool('Answers with a sound.', () => ({
      result: { content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] },
    })),
    test_embedded_resource: tool('Answers with an embedded resource.', () => ({
      result: {
        content: [
          {
            type: 'resource',
            resource: {
              uri: 'test://embedded-resource',
              mimeType: 'text/plain',
              text: 'This is an embedded resource content.',
            },
          },
        ],
      },
    })),
    test_multiple_content_types: tool('Answers with a text, an image and a resource.', () => ({
      result: {
        content: [
          { type: 'text', text: 'Multiple content types test:' },
          { type: 'image', data: PNG, mimeType: 'image/png' },
          {
            type: 'resource',
            resource: {
              uri: 'test://mixed-content-resource',
              mimeType: 'application/json',
              text: '{"test":"data","value":123}',
            },
          },
        ],
      },
    })),
    test_error_handling: tool('Always fails.', () => ({
      result: {
        isError: true,
        content: [{ type: 'text', text: 'This tool intentionally returns an error for testing' }],
      },
    })),
    test_tool_with_progress: tool('Tells its progress three times.', async ({ progress, signal }) => {
      progress(0)
      await sleep(PAUSE_MS, undefined, { signal })
      progress(50)
      await sleep(PAUSE_MS, undefined, { signal })
      progress(100)
      return text('The tool told its progress three times.')
    }),
    test_tool_with_logging: tool('Writes three log messages.', logging),
    test_logging_tool: tool('Writes log messages, which nobody may get who did not ask.', logging),
    test_reconnection: tool(
      'Ends its stream before it answers, so that the client has to come back for the answer.',
      async ({ breakOff, signal }) => {
        breakOff()
        await sleep(PAUSE_MS, undefined, { signal })
        return text('The client came back.')
      },
    ),
    json_schema_2020_12_tool: tool(
      'Has an input schema with every kind of keyword.',
      () => text('The arguments are valid.'),
      EVERY_KEYWORD,
    ),
    test_header_argument: tool(
      'Repeats an argument that also travels as a header.',
      ({ args }) => text(`region: ${String(args['region'])}`),
      {
        type: 'object',
        properties: { region: { type: 'string', description: 'Where', 'x-mcp-header': 'Region' } },
        required: ['region'],
      },
    ),
    test_trigger_tool_change: triggering('the list of tools', trigger.tools),
    test_trigger_prompt_change: triggering('the list of prompts', trigger.prompts),
    test_trigger_resource_update: triggering('the watched resource', trigger.resource),
    ...askingTools,
  }
}
