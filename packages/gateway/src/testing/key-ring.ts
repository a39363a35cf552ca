import type { KeyRing } from '../ports/key-ring.ts'

/** Seals by remembering what it gave out; the real ring is tested beside its adapter. */
export function memoryKeyRing(): KeyRing {
  const sealed = new Map<string, Buffer>()
  return {
    seal(purpose, plaintext, aad) {
      const text = `${purpose}-${sealed.size}`
      sealed.set(`${text} ${aad}`, plaintext)
      return text
    },
    open: (_, text, aad) => sealed.get(`${text} ${aad}`),
  }
}
