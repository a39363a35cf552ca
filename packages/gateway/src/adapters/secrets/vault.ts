import type { VaultReference } from '../../ports/secret-reference.ts'
import { SecretUnavailable } from '../../ports/secrets.ts'
import { readFileSecret } from './file.ts'
import type { SecretAnswer } from './http.ts'
import { memberOf } from './http.ts'
import type { SourceWorld } from './source.ts'
import { checkedText } from './text.ts'

/**
 * Reads a field from a key-value engine of Vault or OpenBao. The token file is read each time: an agent may renew it.
 * Source: Vault HTTP API, KV secrets engine versions 1 and 2.
 * @throws SecretUnavailable
 */
export async function readVaultSecret(reference: VaultReference, world: SourceWorld): Promise<string> {
  const { label, url, field, namespace } = reference
  const token = await readFileSecret(reference.token, world.folder)
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new SecretUnavailable(
      'refused',
      `\`${reference.token.label}\` is no Vault token: it holds spaces, line ends or other signs that no header carries`,
    )
  }
  const answer = await world.http.ask({
    label,
    url,
    method: 'GET',
    headers: {
      'x-vault-token': token,
      // Agents can be set up to refuse requests without it, which no browser can be tricked into sending.
      'x-vault-request': 'true',
      ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
    },
  })
  if (answer.status !== 200) throw failure(reference, answer)
  if (answer.body === undefined) throw new SecretUnavailable('down', `\`${label}\` answered what is no JSON`)
  const outer = memberOf(answer.body, 'data')
  const fields = reference.kv === 2 ? memberOf(outer, 'data') : outer
  if (typeof fields !== 'object' || fields === null) {
    const other = reference.kv === 2 ? '1' : '2'
    throw new SecretUnavailable(
      'refused',
      `\`${label}\` answered no secret of a version ${reference.kv} engine; if the engine is of version ${other}, write \`kv=${other}\``,
    )
  }
  const value = memberOf(fields, field)
  if (value === undefined)
    throw new SecretUnavailable('refused', `\`${label}\` is a secret without this field`)
  if (typeof value !== 'string') throw new SecretUnavailable('refused', `\`${label}\` is not a text`)
  return checkedText(label, value)
}

function failure(
  { label, token }: VaultReference,
  { status, retryAfterMs }: SecretAnswer,
): SecretUnavailable {
  const say = (kind: 'down' | 'refused', what: string): SecretUnavailable =>
    new SecretUnavailable(kind, `\`${label}\` answered ${status}: ${what}`, retryAfterMs)
  if (status === 403) {
    return say(
      'refused',
      `the token of \`${token.label}\` is not valid or its policy does not let it read this path`,
    )
  }
  if (status === 404) return say('refused', 'no secret is at this path, or it was deleted')
  if (status === 429) return say('down', 'too many requests; raise the rate limit quota of the gate')
  if (status === 503) return say('down', 'the store is sealed or in maintenance; unseal it')
  if (status >= 500) return say('down', 'the store is in trouble; see its own log')
  if (status >= 300 && status < 400) {
    return say('down', 'redirects are not followed; name the active node or the balancer itself')
  }
  return say('refused', 'the question is not understood there (expected 200); check host and path')
}
