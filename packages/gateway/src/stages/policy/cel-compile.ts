import type { ASTNode } from '@marcbachmann/cel-js'
import { ConditionError, parseCondition } from './cel.ts'
import { compileCall, type Scope } from './cel-calls.ts'
import { binary, isKind, logical, negate, not, type OperatorRefused } from './cel-operators.ts'
import { constantPart, holding, ORDINARY, priced, type Part } from './cel-part.ts'
import { isObject, kindOf, MAX_STEPS, type Frame, type Value } from './cel-runtime.ts'
import {
  BOOL,
  DOUBLE,
  DYN,
  INT,
  listOf,
  NULL,
  objectOf,
  STRING,
  typeName,
  unify,
  type CelType,
} from './cel-type.ts'
import { didYouMean, nearestName, quoted } from './problem.ts'
import type { WindowedFact } from './windowed-fact.ts'

/** A fact by its path. */
export interface FactPath {
  /** As written: `args.filter.name`. */
  readonly name: string
  readonly root: string
  readonly members: readonly string[]
}

/** A condition, or an operand of `&&`, `||` or `?:` in it: what may be true and false apart from the rest. */
export interface Branch {
  /** Characters of the condition: the first, and the one after the last. */
  readonly start: number
  readonly end: number
}

/** A condition, checked against the types of its facts and ready to run. */
export interface Condition {
  /** @throws EvaluationFault when it has no answer for these facts */
  readonly test: (frame: Frame) => boolean
  /** Facts that it reads. */
  readonly paths: readonly FactPath[]
  /** Windowed facts that it reads. */
  readonly windowed: readonly WindowedFact[]
  /** In the order of the text; the condition itself is one. */
  readonly branches: readonly Branch[]
  /** Steps that it may cost on an ordinary call (`ORDINARY`), faults apart. */
  readonly steps: number
  /** What will go wrong in some calls, with the character where. */
  readonly warnings: readonly { readonly index: number; readonly message: string }[]
}

/**
 * Compiles a condition to closures: no code is generated, members are own members only, every run is bounded.
 * @param roots types of the facts that it may read; the type of `args` is that of one tool
 * @param watch told what each branch came to, for coverage. Default: nobody asks, and nothing is spent on it
 * @throws ConditionError with the first thing that is wrong and its character
 */
export function compileCondition(
  text: string,
  roots: ReadonlyMap<string, CelType>,
  watch?: (branch: Branch, outcome: boolean) => void,
): Condition {
  const compiler = new Compiler(roots, watch)
  const part = compiler.whole(parseCondition(text))
  const test = (frame: Frame): boolean => {
    frame.spend(part.cost)
    const value = part.run(frame)
    if (typeof value !== 'boolean') throw frame.fault(`condition is ${kindOf(value)} (expected bool)`)
    return value
  }
  return {
    test,
    paths: [...compiler.paths].map(([name, [root = '', ...members]]) => ({ name, root, members })),
    windowed: [...compiler.windowed.values()],
    branches: [...compiler.branches.values()].sort((a, b) => a.start - b.start || b.end - a.end),
    steps: part.cost + part.extra,
    warnings: compiler.warnings,
  }
}

class Compiler {
  readonly paths = new Map<string, readonly string[]>()
  readonly windowed = new Map<string, WindowedFact>()
  /** By their place: an operand that is the whole of another is one with it. */
  readonly branches = new Map<string, Branch>()
  readonly warnings: { index: number; message: string }[] = []
  readonly #watch: ((branch: Branch, outcome: boolean) => void) | undefined
  readonly #roots: ReadonlyMap<string, CelType>
  readonly #scope: Scope
  readonly #variables: Scope['variables'] = []

  constructor(roots: ReadonlyMap<string, CelType>, watch?: (branch: Branch, outcome: boolean) => void) {
    this.#roots = roots
    this.#watch = watch
    this.#scope = {
      part: (node) => this.#part(node),
      piece: (node) => this.#piece(node),
      memberType: (node, receiver, name) => this.#memberType(node, receiver, name),
      reads: (path) => this.#reads(path),
      readsWindow: (fact) => void this.windowed.set(fact.name, fact),
      roots,
      variables: this.#variables,
    }
  }

  whole(node: ASTNode): Part {
    const part = this.#branch(node)
    if (!isKind(part.type, 'bool')) {
      throw new ConditionError(node.start, `condition is ${typeName(part.type)} (expected bool)`)
    }
    this.#warnNullable(node, part)
    return part
  }

  /** A part that may be true and false apart from the rest. */
  #branch(node: ASTNode): Part {
    const part = this.#part(node)
    const branch = { start: node.start, end: node.end }
    this.branches.set(`${branch.start}-${branch.end}`, branch)
    const watch = this.#watch
    if (watch === undefined) return part
    const run = (frame: Frame): Value => {
      const value = part.run(frame)
      if (typeof value === 'boolean') watch(branch, value)
      return value
    }
    return { ...part, run }
  }

  /** Of `a && b && c` the operands are three: what the parser makes of the first two is no branch of its own. */
  #operand(node: ASTNode, op: '&&' | '||'): Part {
    return node.op === op ? this.#part(node) : this.#branch(node)
  }

  /** A piece whose value is used: what it reads goes to the record. */
  #part(node: ASTNode): Part {
    const part = this.#piece(node)
    if (part.path !== undefined) this.#reads(part.path)
    return part
  }

  #reads(path: readonly string[]): void {
    this.paths.set(path.join('.'), path)
  }

  #piece(node: ASTNode): Part {
    const part = this.#compiled(node)
    const steps = part.cost + part.extra
    if (steps > MAX_STEPS) {
      const most = `up to ${ORDINARY.items} elements and ${ORDINARY.text} characters`
      throw new ConditionError(
        node.start,
        `this may cost ${Math.ceil(steps)} steps on arguments of ${most} (expected at most ${MAX_STEPS}); write fewer loops in loops, or a shorter pattern`,
      )
    }
    return part
  }

  #compiled(node: ASTNode): Part {
    switch (node.op) {
      case 'value':
        return literal(node, node.args)
      case 'id':
        return this.#name(node, node.args)
      case '.':
        return this.#select(node, node.args[0], node.args[1])
      case '[]':
        return this.#index(node, node.args[0], node.args[1])
      case 'call':
        return compileCall(this.#scope, node, node.args[0], undefined, node.args[1])
      case 'rcall':
        return compileCall(this.#scope, node, node.args[0], node.args[1], node.args[2])
      case 'list':
        return this.#list(node.args)
      case 'map':
        return this.#map(node.args)
      case '?:':
        return this.#ternary(node.args)
      case '&&':
      case '||': {
        const [left, right] = node.args
        const parts = [this.#operand(left, node.op), this.#operand(right, node.op)] as const
        this.#warnNullable(left, parts[0])
        this.#warnNullable(right, parts[1])
        return settle(logical(node.op, ...parts), left, right)
      }
      case '!_':
        return settle(not(this.#part(node.args)), node.args, node.args)
      case '-_':
        return settle(negate(this.#part(node.args)), node.args, node.args)
      case '.?':
      case '[?]':
        throw new ConditionError(
          node.start,
          'optional access is not part of conditions (absent members are null)',
        )
      default:
        return settle(binary(node.op, this.#part(node.args[0]), this.#part(node.args[1])), ...node.args)
    }
  }

  #name(node: ASTNode, name: string): Part {
    const slot = this.#variables.findLastIndex((variable) => variable.name === name)
    const variable = this.#variables[slot]
    if (variable !== undefined) {
      return {
        type: variable.type,
        run: (frame) => frame.slots[slot] ?? null,
        cost: 1,
        extra: 0,
        size: variable.size,
      }
    }
    const type = this.#roots.get(name)
    if (type === undefined) {
      const hint = didYouMean(
        nearestName(name, [...this.#roots.keys(), ...this.#variables.map((known) => known.name)]),
      )
      throw new ConditionError(
        node.start,
        `unknown fact ${quoted(name)} (expected ${[...this.#roots.keys()].map((root) => `\`${root}\``).join(', ')}; a text stands in quotes)${hint}`,
      )
    }
    return {
      type,
      run: (frame) => frame.facts[name] ?? null,
      cost: 1,
      extra: 0,
      size: ORDINARY,
      path: [name],
    }
  }

  #select(node: ASTNode, of: ASTNode, name: string): Part {
    const receiver = this.#piece(of)
    const { type, declared } = this.#memberType(node, receiver, name)
    const part = { type, run: memberOf(receiver, name, declared), ...priced([receiver]) }
    return receiver.path === undefined ? part : { ...part, path: [...receiver.path, name] }
  }

  #memberType(node: ASTNode, receiver: Part, name: string): { type: CelType; declared: boolean } {
    const of = receiver.type
    if (of.kind === 'dyn') return { type: { ...DYN, nullable: true }, declared: false }
    const written = receiver.path?.join('.')
    if (of.kind !== 'object') {
      const what = written === undefined ? 'this' : `\`${written}\``
      throw new ConditionError(node.start, `${what} is ${typeName(of)} and has no member ${quoted(name)}`)
    }
    const type = of.members.get(name)
    if (type !== undefined) return { type, declared: true }
    if (of.rest !== undefined) return { type: of.rest, declared: false }
    const known = [...of.members.keys()]
    const best = nearestName(name, known)
    const prefix = written === undefined ? '' : `${written}.`
    const expected =
      known.length === 0
        ? 'no members'
        : known
            .slice(0, 12)
            .map((key) => quoted(prefix + key))
            .join(', ')
    const index = Math.max(node.start, node.end - name.length)
    const hint = best === undefined ? '' : didYouMean(prefix + best)
    throw new ConditionError(index, `unknown member ${quoted(prefix + name)} (expected ${expected})${hint}`)
  }

  #index(node: ASTNode, of: ASTNode, at: ASTNode): Part {
    if (at.op === 'value' && typeof at.args === 'string') {
      // `args["count"]` is `args.count`, with the same check and the same path.
      return this.#select(node, of, at.args)
    }
    const receiver = this.#part(of)
    const index = this.#part(at)
    const type = receiver.type
    if (!isKind(type, 'list', 'object')) {
      throw new ConditionError(of.start, `${typeName(type)} has no elements (expected list or object)`)
    }
    if (
      !isKind(
        index.type,
        ...(type.kind === 'list'
          ? ['int' as const]
          : type.kind === 'object'
            ? ['string' as const]
            : ['int' as const, 'string' as const]),
      )
    ) {
      throw new ConditionError(
        at.start,
        `index is ${typeName(index.type)} (expected ${type.kind === 'list' ? 'int' : 'string'})`,
      )
    }
    const item = type.kind === 'list' ? type.item : { ...DYN, nullable: true }
    const run = (frame: Frame): Value => {
      const holder = receiver.run(frame)
      const key = index.run(frame)
      if (Array.isArray(holder) && typeof key === 'number') {
        const value = Number.isInteger(key) && key >= 0 ? (holder as readonly Value[])[key] : undefined
        if (value !== undefined) return value
        throw frame.fault('index is out of bounds')
      }
      if (isObject(holder) && typeof key === 'string' && Object.hasOwn(holder, key))
        return holder[key] ?? null
      throw frame.fault(`no such element of ${kindOf(holder)}`)
    }
    return { type: item, run, ...priced([receiver, index]) }
  }

  #list(items: readonly ASTNode[]): Part {
    const parts = items.map((item) => this.#part(item))
    const [first, ...others] = parts.map((part) => part.type)
    const type = listOf(first === undefined ? DYN : others.reduce(unify, first))
    const constants = parts.flatMap((part) => (part.constant === undefined ? [] : [part.constant]))
    if (constants.length === parts.length) return constantPart(type, constants)
    return { type, run: (frame) => parts.map((part) => part.run(frame)), ...whole(parts) }
  }

  #map(entries: readonly (readonly [ASTNode, ASTNode])[]): Part {
    const members: [string, Part][] = entries.map(([key, value]) => {
      if (key.op !== 'value' || typeof key.args !== 'string') {
        throw new ConditionError(key.start, 'member name is computed (expected a literal text)')
      }
      return [key.args, this.#part(value)]
    })
    const type = objectOf(Object.fromEntries(members.map(([key, part]) => [key, part.type])))
    const run = (frame: Frame): Value =>
      Object.fromEntries(members.map(([key, part]) => [key, part.run(frame)]))
    return {
      type,
      run,
      ...whole(
        members.map(([, part]) => part),
        members.map(([key]) => key),
      ),
    }
  }

  #ternary([condition, yes, no]: readonly [ASTNode, ASTNode, ASTNode]): Part {
    const test = this.#branch(condition)
    if (!isKind(test.type, 'bool'))
      throw new ConditionError(condition.start, `\`?\` asks ${typeName(test.type)} (expected bool)`)
    const left = this.#part(yes)
    const right = this.#part(no)
    const run = (frame: Frame): Value => {
      const answer = test.run(frame)
      if (typeof answer !== 'boolean') throw frame.fault(`\`?\` of ${kindOf(answer)} (expected bool)`)
      return answer ? left.run(frame) : right.run(frame)
    }
    return { type: unify(left.type, right.type), run, ...priced([test, left, right]) }
  }

  #warnNullable(node: ASTNode, part: Part): void {
    if (part.type.kind !== 'bool' || !part.type.nullable || part.path === undefined) return
    const path = part.path.join('.')
    const message = `\`${path}\` is optional and null when absent, which is an error here; write \`${path} == true\``
    this.warnings.push({ index: node.start, message })
  }
}

/** What a list or an object costs and holds that is made of parts. @param names of members */
function whole(parts: readonly Part[], names: readonly string[] = []): Pick<Part, 'cost' | 'extra' | 'size'> {
  const made = priced(parts)
  return { ...made, size: holding(names, made.size, parts.length) }
}

function literal(node: ASTNode, value: unknown): Part {
  switch (typeof value) {
    case 'string':
      return constantPart(STRING, value)
    case 'boolean':
      return constantPart(BOOL, value)
    case 'number':
      return constantPart(DOUBLE, value)
    case 'bigint': {
      const number = Number(value)
      if (!Number.isSafeInteger(number)) {
        throw new ConditionError(
          node.start,
          'integer is out of range (expected at most 2^53 - 1, as in JSON)',
        )
      }
      return constantPart(INT, number)
    }
    default:
      if (value === null) return constantPart(NULL, null)
      throw new ConditionError(
        node.start,
        'bytes and unsigned numbers are not part of conditions (JSON has neither)',
      )
  }
}

/** Reads an own member: a declared one is null when absent, any other must be there. */
function memberOf(receiver: Part, name: string, declared: boolean): (frame: Frame) => Value {
  return (frame) => {
    const holder = receiver.run(frame)
    if (!isObject(holder)) throw frame.fault(`${kindOf(holder)} has no member ${quoted(name)}`)
    // INVARIANT: own members only, so no condition ever sees `__proto__`, `constructor` or `toString` of an object.
    if (Object.hasOwn(holder, name)) return holder[name] ?? null
    if (declared) return null
    throw frame.fault(`no member ${quoted(name)}`)
  }
}

function settle(part: Part | OperatorRefused, left: ASTNode, right: ASTNode): Part {
  if ('run' in part) return part
  throw new ConditionError(part.side === 'left' ? left.start : right.start, part.message)
}
