/** What the name of a value says of it. */
export interface Named {
  /** As in `secret.<kind>`. */
  readonly kind: string
  /** `password`: a person may have chosen it. `token`: a machine made it. `issuer`: only whose it is, not that it is secret. */
  readonly sort: 'password' | 'token' | 'issuer'
}

const PASSWORD = new Set(
  'password passwd passwort pass pwd passphrase passcode contrasena senha motdepasse kennwort'.split(' '),
)
const TOKEN = new Set(
  'secret secrets token tokens apikey apitoken accesskey secretkey privatekey authkey credential credentials creds auth authorization authtoken bearer jwt dsn accountkey sharedaccesskey clientsecret licensekey deploykey masterkey'.split(
    ' ',
  ),
)
/** A key is a secret where one of these says what it opens. */
const OPENS = new Set(
  'api access secret private account auth client signing sign encryption encrypt master storage service app application admin license licence deploy ssh aws shared hmac webhook session cookie project user device server consumer write token'.split(
    ' ',
  ),
)
/** Words that say something else of it: what it is called, where it lies, how long it lives. */
const ABOUT = new Set(
  'id ids name names url uri urls path paths file files filename dir folder type types kind version length len size count limit max min expiry expires expiration expire ttl timeout age field fields label header headers param params prefix suffix regex pattern endpoint issuer host hostname port hash digest provider class method format location algorithm alg manager store handler helper service factory controller error errors message text hint policy rule rules status state enabled disabled required optional description placeholder variable var ref reference arn region scope scopes usage used sha commit rev revision checksum etag nonce uuid guid arg args source options option config'.split(
    ' ',
  ),
)
const PUBLIC = new Set('public pub publishable anon anonymous'.split(' '))

/** Names of services whose keys and ids are long random signs. */
const ISSUERS = new Set(
  'adafruit adobe airtable algolia alibaba asana artifactory atlassian aws azure beamer bintray bitbucket bittrex clickhouse cloudant cloudflare codecov cohere coinbase confluence confluent contentful contribsys databricks datadog digitalocean discord droneci dropbox etsy facebook fastly finicity finnhub firebase flickr freshbooks gitter gemini gitlab heroku hubspot intercom jfrog jira kraken kucoin launchdarkly linear linkedin lob looker mailchimp mailgun mapbox mattermost meraki messagebird netlify newrelic nytimes okta openai opsgenie pagerduty paypal perplexity plaid privateai rapidapi sendbird sendgrid sentry shodan slack snyk softlayer sonar sourcegraph splunk squarespace stripe sumo sumologic telegram travis travisci trello twilio twitch twitter typeform xray yandex zendesk'.split(
    ' ',
  ),
)

/** What a name says of its value; undefined: nothing that would make it secret. */
export function whatIsNamed(name: string): Named | undefined {
  const words = wordsOf(name)
  if (words.length === 0 || words.some((word) => PUBLIC.has(word))) return undefined
  const issuer = words.find((word) => ISSUERS.has(word)) ?? joinedIssuer(words)
  const last = words.findLast((word) => !/^\d+$/.test(word)) ?? ''
  if (issuer !== undefined && !isElsewhere(last)) {
    const sort = words.some((word) => PASSWORD.has(word))
      ? 'password'
      : words.some((word, i) => opens(words, word, i))
        ? 'token'
        : 'issuer'
    return { kind: /^[a-z0-9]+$/.test(issuer) ? issuer : 'generic', sort }
  }
  if (ABOUT.has(last)) return undefined
  if (words.some((word) => PASSWORD.has(word))) return { kind: 'password', sort: 'password' }
  if (words.some((word, i) => opens(words, word, i))) return { kind: 'generic', sort: 'token' }
  return undefined
}

/** An id of a service belongs to its credentials; its address, name or file does not. */
const isElsewhere = (last: string): boolean => last !== 'id' && last !== 'ids' && ABOUT.has(last)

function opens(words: readonly string[], word: string, i: number): boolean {
  if (TOKEN.has(word)) return true
  return (word === 'key' || word === 'keys') && OPENS.has(words[i - 1] ?? '')
}

function joinedIssuer(words: readonly string[]): string | undefined {
  for (let i = 0; i + 1 < words.length; i++) {
    const joined = `${words[i]}${words[i + 1]}`
    if (ISSUERS.has(joined)) return joined
  }
  return undefined
}

/** The words of a name in small letters: `HEROKU_API_KEY`, `herokuApiKey`, `heroku-api-key`. */
function wordsOf(name: string): string[] {
  // Most names are one word in small letters.
  if (/^[a-z]+$/.test(name)) return [name]
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .replaceAll(/([A-Za-z])(\d+)$/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')
}
