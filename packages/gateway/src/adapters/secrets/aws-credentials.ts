import { SecretUnavailable } from '../../ports/secrets.ts'
import type { AwsKeys } from './sigv4.ts'

/**
 * Keys of one profile from the text of a shared credentials file: `[profile]` sections of `name = value` lines.
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".
 * @throws SecretUnavailable naming what is missing; no line of the file is quoted
 */
export function parseAwsCredentials(label: string, text: string, profile: string): AwsKeys {
  const values = new Map<string, string>()
  let section = ''
  for (const line of text.split(/\r?\n/)) {
    const [, header] = /^\[\s*([^\]]*?)\s*\]/.exec(line) ?? []
    if (header !== undefined) section = header
    const [, name, value] = /^\s*([a-z_]+)\s*=\s*(\S+)\s*$/.exec(line) ?? []
    if (section === profile && name !== undefined && value !== undefined) values.set(name, value)
  }
  const [accessKeyId, secretAccessKey] = ['aws_access_key_id', 'aws_secret_access_key'].map((name) => {
    const value = values.get(name)
    if (value !== undefined) return value
    throw new SecretUnavailable('refused', `\`${label}\` has no \`${name}\` in section \`[${profile}]\``)
  })
  const sessionToken = values.get('aws_session_token')
  const all = [accessKeyId, secretAccessKey, sessionToken ?? 'none']
  if (
    accessKeyId === undefined ||
    secretAccessKey === undefined ||
    all.some((one = '') => !/^[\x21-\x7e]+$/.test(one))
  ) {
    throw new SecretUnavailable('refused', `\`${label}\` holds keys with signs that no header carries`)
  }
  return { accessKeyId, secretAccessKey, sessionToken }
}
