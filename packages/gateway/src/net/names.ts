import { judgeHost } from './address.ts'
import type { UrlFacts } from './url-facts.ts'

/** The hosts of URLs that the DNS has to be asked about, each once: what is no address. */
export function namesOf(urls: readonly UrlFacts[]): readonly string[] {
  const hosts = urls.map(({ hostname }) => hostname)
  return [...new Set(hosts.filter((host) => host !== '' && !judgeHost(host).isAddress))]
}
