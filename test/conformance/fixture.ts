import {
  type Json,
  type JsonObject,
  isJsonObject,
  member,
  stringMember,
} from '../../packages/gateway/src/call/json.ts'
import {
  type FixtureCall,
  INVALID_PARAMS,
  METHOD_NOT_FOUND,
  type Outcome,
  RpcError,
  type Tool,
  text,
  tool,
} from './fixture-call.ts'
import { PROMPTS, type Prompt, RESOURCES, TEMPLATES, WATCHED, readResource } from './fixture-documents.ts'
import { createTools } from './fixture-tools.ts'

/** A notification without an envelope. */
export interface Notice {
  readonly method: string
  readonly params: JsonObject
}

export const SERVER_INFO = { name: 'conformance-fixture', version: '1.0.0' }

/** What the server offers; `eras` add what only they have. */
export const OFFERED = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  completions: {},
} satisfies JsonObject

/** Methods of both eras that a client may repeat with answers. */
const MAY_ASK = new Set(['tools/call', 'prompts/get'])

/** The content of the server, the same for every client and in both eras. */
export class Fixture {
  readonly #tools: Record<string, Tool>
  readonly #prompts: Record<string, Prompt> = { ...PROMPTS }
  readonly #listeners = new Set<(notice: Notice) => void>()

  constructor() {
    this.#tools = {
      ...createTools({
        tools: () =>
          this.#toggle(
            this.#tools,
            'test_dynamic_tool',
            tool('Comes and goes.', () => text('Still here.')),
            'tools',
          ),
        prompts: () => {
          const prompt = PROMPTS['test_simple_prompt']
          if (prompt !== undefined) this.#toggle(this.#prompts, 'test_dynamic_prompt', prompt, 'prompts')
        },
        resource: () => this.#tell({ method: 'notifications/resources/updated', params: { uri: WATCHED } }),
      }),
    }
  }

  /** Calls back for every change of a list or a resource. @returns what ends that */
  onNotice(listener: (notice: Notice) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Whether answers and state mean something to a method. */
  mayAsk(method: string): boolean {
    return MAY_ASK.has(method)
  }

  /** One round of a method that both eras have. @throws RpcError */
  async round(method: string, params: JsonObject, call: Omit<FixtureCall, 'args'>): Promise<Outcome> {
    switch (method) {
      case 'tools/list':
        return listed('tools', this.#tools, ({ description, inputSchema }) => ({ description, inputSchema }))
      case 'prompts/list':
        return listed('prompts', this.#prompts, ({ description, arguments: args }) => ({
          description,
          ...(args.length === 0 ? {} : { arguments: args }),
        }))
      case 'resources/list':
        return { result: { resources: RESOURCES } }
      case 'resources/templates/list':
        return { result: { resourceTemplates: TEMPLATES } }
      case 'resources/read':
        return { result: { contents: [contentsOf(params)] } }
      case 'completion/complete':
        return { result: { completion: completionOf(params) } }
      case 'tools/call':
        return named(this.#tools, params).run({ ...call, args: argumentsOf(params) })
      case 'prompts/get':
        return named(this.#prompts, params).run({ ...call, args: argumentsOf(params) })
      default:
        throw new RpcError(METHOD_NOT_FOUND, `Method not found: ${method}`)
    }
  }

  /** The input schema of a tool, for the arguments that travel as headers. */
  inputSchema(name: string): JsonObject | undefined {
    return Object.hasOwn(this.#tools, name) ? this.#tools[name]?.inputSchema : undefined
  }

  #toggle<Entry>(entries: Record<string, Entry>, name: string, entry: Entry, list: string): void {
    if (Object.hasOwn(entries, name)) delete entries[name]
    else entries[name] = entry
    this.#tell({ method: `notifications/${list}/list_changed`, params: {} })
  }

  #tell(notice: Notice): void {
    for (const listener of this.#listeners) listener(notice)
  }
}

function listed<Entry>(
  kind: string,
  entries: Record<string, Entry>,
  show: (entry: Entry) => JsonObject,
): Outcome {
  const items = Object.entries(entries).map(([name, entry]) => ({ name, ...show(entry) }))
  return { result: { [kind]: items } }
}

function named<Entry>(entries: Readonly<Record<string, Entry>>, params: JsonObject): Entry {
  const name = stringMember(params, 'name') ?? ''
  const entry = Object.hasOwn(entries, name) ? entries[name] : undefined
  if (entry === undefined) throw new RpcError(INVALID_PARAMS, `Unknown name: ${name}`)
  return entry
}

function argumentsOf(params: JsonObject): JsonObject {
  const args = member(params, 'arguments') ?? {}
  if (!isJsonObject(args)) throw new RpcError(INVALID_PARAMS, 'arguments is not an object')
  return args
}

function contentsOf(params: JsonObject): JsonObject {
  const uri = stringMember(params, 'uri') ?? ''
  const contents = readResource(uri)
  if (contents === undefined) throw new RpcError(INVALID_PARAMS, 'Resource not found', { uri })
  return contents
}

function completionOf(params: JsonObject): Json {
  const argument = member(params, 'argument')
  const typed = isJsonObject(argument) ? (stringMember(argument, 'value') ?? '') : ''
  const values = ['test', 'testing', 'tested'].filter((value) => value.startsWith(typed))
  return { values, total: values.length, hasMore: false }
}
