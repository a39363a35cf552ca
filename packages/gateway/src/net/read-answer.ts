/**
 * The whole body of a stranger's answer, which must not fill memory.
 * @param maxBytes longest body
 * @returns undefined: it is longer, and was let go
 * @throws Error when the body breaks off
 */
export async function readAnswer(
  body: AsyncIterable<unknown> & { destroy(): unknown },
  maxBytes: number,
): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('a body gives bytes')
    size += chunk.length
    if (size > maxBytes) {
      body.destroy()
      return undefined
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
