/** A credential that is known by what it begins with. */
export interface Form {
  /** As in `secret.<kind>`. */
  readonly kind: string
  readonly prefix: string
  /** What follows the prefix, anchored at its end; bounded, so that no text makes it slow. */
  readonly rest: RegExp
  /** Fewest bits per sign of the whole: what is less was written by a person, or is a row of the same sign. Default 3. */
  readonly bits?: number
}

const ANY = '[A-Za-z0-9_-]'
const WORD = '[A-Za-z0-9]'
const HEX = '[0-9a-fA-F]'

/** So many signs of a class, and no further one behind them. */
const exactly = (sign: string, count: number): RegExp => new RegExp(`${sign}{${count}}(?!${WORD})`, 'y')
const between = (sign: string, least: number, most: number): RegExp =>
  new RegExp(`${sign}{${least},${most}}(?!${WORD})`, 'y')
const as = (pattern: string): RegExp => new RegExp(`(?:${pattern})(?!${WORD})`, 'y')

/** Kinds by prefix. Source: what the issuers publish of their tokens. */
const TABLE: readonly (readonly [kind: string, prefixes: readonly string[], rest: RegExp, bits?: number])[] =
  [
    ['age', ['AGE-SECRET-KEY-1'], exactly('[A-Z0-9]', 58)],
    ['adobe', ['p8e-'], exactly(WORD, 32)],
    ['airtable', ['pat'], as(`${WORD}{14}\\.[a-f0-9]{64}`)],
    ['alibaba', ['LTAI'], between(WORD, 12, 20)],
    ['anthropic', ['sk-ant-api', 'sk-ant-admin', 'sk-ant-sid', 'sk-ant-oat'], as(`\\d\\d-${ANY}{79,109}AA`)],
    ['artifactory', ['AKCp'], between(WORD, 60, 75), 4],
    ['artifactory', ['cmVmd'], exactly(WORD, 59), 4],
    ['atlassian', ['ATATT3', 'ATCTT3', 'ATSTT3'], between('[A-Za-z0-9_=-]', 100, 220)],
    [
      'authress',
      ['sc_', 'ext_', 'scauth_', 'authress_'],
      as(`[a-z0-9]{5,30}\\.[a-z0-9]{4,6}\\.acc[_-][a-z0-9-]{10,32}\\.[A-Za-z0-9+/_=-]{30,120}`),
    ],
    ['aws', ['AKIA', 'ASIA', 'ABIA', 'ACCA'], exactly('[A-Z2-7]', 16), 0],
    ['aws', ['A3T'], as('[A-Z0-9][A-Z2-7]{16}'), 0],
    ['aws', ['ABSK'], as('[A-Za-z0-9+/]{109,269}={0,2}'), 2.5],
    ['aws', ['bedrock-api-key-'], as('YmVkcm9jay5hbWF6b25hd3MuY29t[A-Za-z0-9+/=]{0,4000}')],
    ['beamer', ['b_'], exactly('[A-Za-z0-9_=-]', 44), 4],
    ['clickhouse', ['4b1d'], exactly(WORD, 38)],
    ['clojars', ['CLOJARS_'], exactly(WORD, 60)],
    ['cloudflare', ['v1.0-'], as('[a-f0-9]{24}-[a-f0-9]{146}')],
    ['contentful', ['CFPAT-'], exactly(ANY, 43)],
    ['databricks', ['dapi'], as('[a-f0-9]{32}(?:-\\d)?')],
    ['defined', ['dnkey-'], as('[A-Za-z0-9=_-]{26}-[A-Za-z0-9=_-]{52}')],
    ['digitalocean', ['dop_v1_', 'doo_v1_', 'dor_v1_'], exactly(HEX, 64)],
    ['docker', ['dckr_pat_', 'dckr_oat_'], between(ANY, 27, 40)],
    [
      'doppler',
      ['dp.pt.', 'dp.st.', 'dp.ct.', 'dp.sa.', 'dp.scim.', 'dp.audit.'],
      as(`(?:[a-z0-9_-]{2,35}\\.)?${WORD}{40,44}`),
    ],
    ['dropbox', ['sl.'], between('[A-Za-z0-9_=-]', 130, 400)],
    ['duffel', ['duffel_test_', 'duffel_live_'], exactly('[A-Za-z0-9_=-]', 43)],
    ['dynatrace', ['dt0c01.', 'dt0s01.', 'dt0s16.'], as('[A-Za-z0-9]{8,24}\\.[A-Za-z0-9]{64}')],
    ['easypost', ['EZAK', 'EZTK'], exactly(WORD, 54), 4],
    ['facebook', ['EAAM', 'EAAC', 'EAAB'], between(WORD, 100, 400), 4],
    ['figma', ['figd_', 'figu_'], between(ANY, 38, 60)],
    [
      'flutterwave',
      ['FLWSECK_TEST-', 'FLWSECK-', 'FLWPUBK_TEST-'],
      as('(?:[A-Za-z0-9]{32}-X|[A-Za-z0-9]{12})'),
    ],
    ['fly', ['fo1_'], exactly(ANY, 43)],
    ['fly', ['fm1r_', 'fm1a_', 'fm2_'], between('[A-Za-z0-9+/=]', 80, 4_000), 4],
    ['frameio', ['fio-u-'], exactly('[A-Za-z0-9_=-]', 64)],
    ['github', ['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'], between(WORD, 36, 255)],
    ['github', ['github_pat_'], as('[A-Za-z0-9]{22}_[A-Za-z0-9]{59}')],
    [
      'gitlab',
      ['glpat-', 'gldt-', 'glft-', 'glsoat-', 'glffct-', 'glrt-', 'glcbt-', 'glwt-'],
      as(`${ANY}{20,300}(?:\\.[0-9a-z]{2,9}){0,2}(?!_)`),
    ],
    ['gitlab', ['glptt-'], exactly(HEX, 40)],
    ['gitlab', ['glimt-'], as(`${ANY}{25}(?!${ANY})`)],
    ['gitlab', ['gloas-'], as(`${ANY}{64}(?!${ANY})`)],
    ['gitlab', ['glagent-'], between(ANY, 50, 80)],
    ['gitlab', ['GR1348941'], as(`${ANY}{20,50}(?!_)`)],
    ['gocardless', ['live_', 'test_'], exactly('[A-Za-z0-9_=-]', 40), 4],
    ['google', ['AIza'], exactly(ANY, 35), 4],
    ['google', ['GOCSPX-'], exactly(ANY, 28)],
    ['google', ['ya29.'], between(ANY, 60, 1_000)],
    ['grafana', ['glc_', 'eyJrIjoi'], between('[A-Za-z0-9+/=]', 32, 400), 3.2],
    ['grafana', ['glsa_'], as(`${WORD}{32}_${HEX}{8}`)],
    ['groq', ['gsk_'], between(WORD, 48, 60), 4],
    ['harness', ['pat.', 'sat.'], as(`${ANY}{22}\\.${WORD}{24}\\.${WORD}{20}`)],
    ['heroku', ['HRKU-AA'], exactly(ANY, 58), 4],
    ['hubspot', ['pat-na1-', 'pat-eu1-'], as('[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')],
    ['huggingface', ['hf_', 'api_org_'], exactly(WORD, 34)],
    ['infracost', ['ico-'], exactly(WORD, 32)],
    ['intra42', ['s-s4t2ud-', 's-s4t2af-'], exactly(HEX, 64)],
    ['linear', ['lin_api_', 'lin_oauth_'], between(WORD, 40, 64)],
    ['lob', ['live_', 'test_'], as('(?:pub_[a-f0-9]{31}|[a-f0-9]{35})')],
    ['mailgun', ['key-', 'pubkey-'], exactly('[a-f0-9]', 32)],
    ['mapbox', ['pk.', 'sk.', 'tk.'], as(`eyJ${WORD}{50,90}\\.${ANY}{22}`)],
    ['newrelic', ['NRAK-'], exactly('[A-Za-z0-9]', 27)],
    ['newrelic', ['NRII-'], exactly('[A-Za-z0-9-]', 32)],
    ['newrelic', ['NRJS-'], exactly(HEX, 19)],
    ['notion', ['ntn_'], as('\\d{11}[A-Za-z0-9]{35}'), 3.8],
    ['notion', ['secret_'], exactly(WORD, 43), 4],
    ['npm', ['npm_'], exactly(WORD, 36)],
    ['octopus', ['API-'], exactly('[A-Z0-9]', 26), 3.3],
    ['onepassword', ['ops_eyJ'], between('[A-Za-z0-9+/=]', 200, 2_000), 4],
    [
      'onepassword',
      ['A3-'],
      as('[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}'),
      3.6,
    ],
    ['openai', ['sk-proj-', 'sk-svcacct-', 'sk-admin-'], between(ANY, 40, 200), 4],
    ['openai', ['sk-'], as(`${WORD}{20}T3BlbkFJ${WORD}{20}`)],
    ['openai', ['sk-'], between(WORD, 40, 64), 4.2],
    ['openrouter', ['sk-or-v1-'], exactly(HEX, 64)],
    ['openshift', ['sha256~'], exactly(ANY, 43), 3.5],
    ['perplexity', ['pplx-'], exactly(WORD, 48), 4],
    ['planetscale', ['pscale_tkn_', 'pscale_oauth_', 'pscale_pw_'], between('[A-Za-z0-9_=.-]', 32, 64)],
    [
      'plaid',
      ['access-sandbox-', 'access-development-', 'access-production-'],
      as('[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'),
    ],
    ['postman', ['PMAK-'], as('[a-fA-F0-9]{24}-[a-fA-F0-9]{34}')],
    ['prefect', ['pnu_', 'pnb_'], exactly(WORD, 36)],
    ['pulumi', ['pul-'], exactly('[a-f0-9]', 40)],
    ['pypi', ['pypi-AgE'], between(ANY, 50, 1_000)],
    ['readme', ['rdme_'], exactly('[a-z0-9]', 70)],
    ['rubygems', ['rubygems_'], exactly('[a-f0-9]', 48)],
    ['scalingo', ['tk-us-'], exactly(ANY, 48)],
    ['sendgrid', ['SG.'], as(`${ANY}{16,24}\\.${ANY}{36,50}`)],
    ['sendinblue', ['xkeysib-', 'xsmtpsib-'], as('[a-f0-9]{64}-[A-Za-z0-9]{16}')],
    ['sentry', ['sntrys_eyJ'], between('[A-Za-z0-9+/=_-]', 80, 500), 4],
    ['sentry', ['sntryu_'], exactly(HEX, 64)],
    ['settlemint', ['sm_aat_', 'sm_pat_', 'sm_sat_'], exactly(WORD, 16)],
    ['shippo', ['shippo_live_', 'shippo_test_'], exactly(HEX, 40)],
    ['shopify', ['shpat_', 'shpca_', 'shppa_', 'shpss_'], exactly(HEX, 32)],
    ['slack', ['xoxb-'], as(`(?:\\d{8,14}-\\d{8,14}[A-Za-z0-9-]{0,60}|\\d{8,14}-${WORD}{18,34})`)],
    ['slack', ['xoxp-', 'xoxe-'], as(`(?:\\d{10,13}-){3}[A-Za-z0-9-]{28,34}`)],
    ['slack', ['xoxe-', 'xoxe.xoxp-', 'xoxe.xoxb-'], as(`\\d-${WORD}{100,170}`), 3.5],
    ['slack', ['xoxo-', 'xoxs-'], as(`\\d{4,14}-\\d{4,14}-\\d{4,14}-${HEX}{6,64}`)],
    ['slack', ['xoxa-', 'xoxr-'], as(`(?:\\d-)?(?:${WORD}{1,20}-){0,4}${WORD}{8,48}`), 2.5],
    ['slack', ['xapp-'], as(`\\d-${WORD}{8,14}-\\d{8,15}-${WORD}{4,80}`)],
    ['slack', ['hooks.slack.com/'], as('(?:services|workflows|triggers)/[A-Za-z0-9+/]{40,80}')],
    ['sonar', ['squ_', 'sqp_', 'sqa_'], exactly(WORD, 40)],
    ['sourcegraph', ['sgp_'], as(`(?:(?:${HEX}{16}|local)_)?${HEX}{40}`)],
    ['square', ['sq0atp-', 'sq0csp-', 'sq0idp-'], between(ANY, 20, 60)],
    ['square', ['EAAA'], between(ANY, 50, 64), 4],
    [
      'stripe',
      ['sk_test_', 'sk_live_', 'sk_prod_', 'rk_test_', 'rk_live_', 'rk_prod_', 'whsec_'],
      between('[A-Za-z0-9+/=]', 10, 110),
    ],
    ['supabase', ['sbp_', 'sb_secret_'], between(ANY, 20, 64)],
    ['tailscale', ['tskey-auth-', 'tskey-api-', 'tskey-client-'], as(`${WORD}{10,20}-${WORD}{20,40}`)],
    ['twilio', ['SK'], exactly(HEX, 32)],
    ['twilio', ['AC'], exactly('[0-9a-f]', 32)],
    ['typeform', ['tfp_'], between('[A-Za-z0-9_.=-]', 50, 64)],
    ['vault', ['hvs.', 'hvb.', 'hvr.'], between(ANY, 24, 300), 3.5],
    ['vault', ['s.'], as('(?=[A-Za-z]{0,23}\\d)[A-Za-z0-9]{24}'), 3.5],
    ['xai', ['xai-'], between(WORD, 70, 90), 4],
    ['yandex', ['AQVN'], between(ANY, 35, 38), 3.5],
    ['yandex', ['t1.'], as('[A-Z0-9a-z_-]{20,300}={0,2}\\.[A-Z0-9a-z_-]{86}={0,2}')],
  ]

/** Forms by the first two signs of their prefix. */
const BY_BEGIN: ReadonlyMap<number, readonly Form[]> = Map.groupBy(
  TABLE.flatMap(([kind, prefixes, rest, bits = 3]) =>
    prefixes.map((prefix): Form => ({ kind, prefix, rest, bits })),
  ),
  ({ prefix }) => prefix.charCodeAt(0) * 128 + prefix.charCodeAt(1),
)

/** The forms that may begin at a place, in the order of the table. */
export function formsAt(text: string, at: number): readonly Form[] {
  const [first, second] = [text.charCodeAt(at), text.charCodeAt(at + 1)]
  return first < 128 && second < 128 ? (BY_BEGIN.get(first * 128 + second) ?? []) : []
}
