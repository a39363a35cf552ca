import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSecretName, isSecretValue } from './secret-name.ts'

test('names of secrets are told from names about them', () => {
  for (const name of [
    'GITHUB_TOKEN',
    'DB_PASSWORD',
    'AWS_SECRET_ACCESS_KEY',
    'apiKey',
    'OPENAI_API_KEY',
    'SLACK_BOT_TOKEN',
    'clientSecret',
    'PGPASSWORD'.replace('PG', 'PG_'),
    'PRIVATE_KEY',
    'NPM_AUTH_TOKEN',
    'GITHUB_PAT',
  ])
    assert.ok(isSecretName(name), name)
  for (const name of [
    'PUBLIC_KEY',
    'KEYBOARD',
    'TOKENIZERS_PARALLELISM',
    'TOKEN_PATH',
    'SECRETS_DIR',
    'API_KEY_ID',
    'MONKEY',
    'MEMORY_FILE_PATH',
    'SORT_KEY',
    'TOKEN_TTL',
    'PATH',
    'PASSED',
    'GOOGLE_APPLICATION_CREDENTIALS_FILE',
  ])
    assert.ok(!isSecretName(name), name)
})

test('values of secrets are told from long harmless ones', () => {
  for (const value of [
    `ghp_${'a1B2'.repeat(9)}`,
    'postgres://app:hunter2@db.example/app',
    'q8ZtP3vN7xLk2WmR9sYd4HbJ',
    '-----BEGIN PRIVATE KEY-----',
    'eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln',
  ])
    assert.ok(isSecretValue(value), value)
  for (const value of [
    '/var/lib/callgate/state/memory.jsonl',
    'postgres://db.example/app',
    'd'.repeat(64),
    'production',
    '123e4567-e89b-12d3-a456-426614174000',
    'node_modules/@modelcontextprotocol/server.js',
    '',
    'AAAAAAAAAAAAAAAAAAAAAAAAa1',
  ])
    assert.ok(!isSecretValue(value), value)
})
