/** A pattern that a generator of tool schemas emits, and texts of which at least one matches. */
export interface GeneratorPattern {
  readonly from: string
  readonly pattern: string
  readonly samples: readonly string[]
}

/** What real servers send: formats of zod as z.toJSONSchema (4.6.7) and zod-to-json-schema write them. */
export const GENERATED: readonly GeneratorPattern[] = [
  {
    from: 'zod 4.6.7 email',
    pattern: String.raw`^(?:[A-Za-z0-9_'+\-]+\.)*[A-Za-z0-9_'+\-]*[A-Za-z0-9_+-]@(?:[A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$`,
    samples: ['ann.lee@example.com', "o'neil+x@a-b.example.org", '.a@b.co', 'a..b@c.de'],
  },
  {
    from: 'zod 4.6.7 uuid',
    pattern:
      '^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff)$',
    samples: ['6f1c2a34-1b2c-4d5e-8f90-a1b2c3d4e5f6', '00000000-0000-0000-0000-000000000000'],
  },
  {
    from: 'zod 4.6.7 guid',
    pattern: '^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$',
    samples: ['6f1c2a34-1b2c-4d5e-8f90-a1b2c3d4e5f6'],
  },
  {
    from: 'zod 4.6.7 uuidv4',
    pattern: '^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12})$',
    samples: ['6f1c2a34-1b2c-4d5e-8f90-a1b2c3d4e5f6'],
  },
  {
    from: 'zod 4.6.7 uuidv6',
    pattern: '^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-6[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12})$',
    samples: ['6f1c2a34-1b2c-6d5e-8f90-a1b2c3d4e5f6'],
  },
  {
    from: 'zod 4.6.7 uuidv7',
    pattern: '^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12})$',
    samples: ['6f1c2a34-1b2c-7d5e-8f90-a1b2c3d4e5f6'],
  },
  {
    from: 'zod 4.6.7 emoji',
    pattern: String.raw`^(?=[\s\S]*[\p{Extended_Pictographic}\p{Regional_Indicator}\u20E3])[\p{Extended_Pictographic}\p{Emoji_Component}]+$`,
    samples: ['😀', '👩‍👩‍👧', '🇫🇷', '5️⃣', '12', 'a😀'],
  },
  { from: 'zod 4.6.7 nanoid', pattern: '^[a-zA-Z0-9_-]{21}$', samples: ['V1StGXR8_Z5jdHi6B-myT'] },
  { from: 'zod 4.6.7 cuid', pattern: '^[cC][0-9a-z]{6,}$', samples: ['cjld2cjxh0000qzrmn831i7rn'] },
  { from: 'zod 4.6.7 cuid2', pattern: '^[0-9a-z]+$', samples: ['tz4a98xxat96iws9zmbrgj3a'] },
  {
    from: 'zod 4.6.7 ulid',
    pattern: '^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$',
    samples: ['01ARZ3NDEKTSV4RRFFQ69G5FAV'],
  },
  { from: 'zod 4.6.7 xid', pattern: '^[0-9a-vA-V]{20}$', samples: ['9m4e2mr0ui3e8a215n4g'] },
  { from: 'zod 4.6.7 ksuid', pattern: '^[A-Za-z0-9]{27}$', samples: ['0ujtsYcgvSTl8PAuAdqWYSMnLOv'] },
  {
    from: 'zod 4.6.7 ipv4',
    pattern: String.raw`^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])$`,
    samples: ['192.168.0.1', '255.255.255.255'],
  },
  {
    from: 'zod 4.6.7 ipv6',
    pattern:
      '^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,7}:|([0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,5}(:[0-9a-fA-F]{1,4}){1,2}|([0-9a-fA-F]{1,4}:){1,4}(:[0-9a-fA-F]{1,4}){1,3}|([0-9a-fA-F]{1,4}:){1,3}(:[0-9a-fA-F]{1,4}){1,4}|([0-9a-fA-F]{1,4}:){1,2}(:[0-9a-fA-F]{1,4}){1,5}|[0-9a-fA-F]{1,4}:((:[0-9a-fA-F]{1,4}){1,6})|:((:[0-9a-fA-F]{1,4}){1,7}|:))$',
    samples: ['2001:db8::1', '::', 'fe80:0:0:0:1:2:3:4'],
  },
  {
    from: 'zod 4.6.7 mac',
    pattern: '^(?:[0-9A-F]{2}:){5}[0-9A-F]{2}$|^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$',
    samples: ['00:1A:2B:3C:4D:5E', '00:1a:2b:3c:4d:5e'],
  },
  {
    from: 'zod 4.6.7 cidrv4',
    pattern: String.raw`^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\/([0-9]|[1-2][0-9]|3[0-2])$`,
    samples: ['10.0.0.0/8', '1.2.3.4/32'],
  },
  {
    from: 'zod 4.6.7 cidrv6',
    pattern: String.raw`^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,7}:|([0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,5}(:[0-9a-fA-F]{1,4}){1,2}|([0-9a-fA-F]{1,4}:){1,4}(:[0-9a-fA-F]{1,4}){1,3}|([0-9a-fA-F]{1,4}:){1,3}(:[0-9a-fA-F]{1,4}){1,4}|([0-9a-fA-F]{1,4}:){1,2}(:[0-9a-fA-F]{1,4}){1,5}|[0-9a-fA-F]{1,4}:((:[0-9a-fA-F]{1,4}){1,6})|:((:[0-9a-fA-F]{1,4}){1,7}|:))\/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$`,
    samples: ['2001:db8::/32', '::/0'],
  },
  {
    from: 'zod 4.6.7 base64',
    pattern: '^$|^(?:[0-9a-zA-Z+/]{4})*(?:(?:[0-9a-zA-Z+/]{2}==)|(?:[0-9a-zA-Z+/]{3}=))?$',
    samples: ['', 'aGVsbG8=', 'aGVsbA==', 'aGVs'],
  },
  {
    from: 'zod 4.6.7 base64url',
    pattern: '^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2,3})?$',
    samples: ['', 'aGVsbG8', 'aGVs'],
  },
  { from: 'zod 4.6.7 e164', pattern: String.raw`^\+[1-9]\d{6,14}$`, samples: ['+14155552671'] },
  {
    from: 'zod 4.6.7 hostname',
    pattern: String.raw`^(?=.{1,253}\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\.?$`,
    samples: [
      'example.com',
      'a-b.example.',
      'localhost',
      'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd',
      'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd',
    ],
  },
  { from: 'zod 4.6.7 hex', pattern: '^[0-9a-fA-F]*$', samples: ['', '0aF9'] },
  {
    from: 'zod 4.6.7 iso.datetime',
    pattern: String.raw`^(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29|\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|(?:02)-(?:0[1-9]|1\d|2[0-8])))T(?:(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z))$`,
    samples: ['2024-02-29T23:59:59Z', '2023-02-29T00:00:00Z', '2023-12-31T23:59:59.123Z'],
  },
  {
    from: 'zod 4.6.7 iso.date',
    pattern: String.raw`^(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29|\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|(?:02)-(?:0[1-9]|1\d|2[0-8])))$`,
    samples: ['2024-02-29', '2023-02-29', '2000-11-30'],
  },
  {
    from: 'zod 4.6.7 iso.time',
    pattern: String.raw`^(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?$`,
    samples: ['23:59', '23:59:59.5'],
  },
  {
    from: 'zod 4.6.7 iso.duration',
    pattern: String.raw`^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$`,
    samples: ['P1W', 'P3Y6M4DT12H30M5S', 'PT'],
  },
  {
    from: 'zod 4.6.7 iso.datetime with offset',
    pattern: String.raw`^(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29|\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|(?:02)-(?:0[1-9]|1\d|2[0-8])))T(?:(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}(?:Z|([+-](?:[01]\d|2[0-3]):[0-5]\d))|(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3})$`,
    samples: ['2024-02-29T23:59:59.123+02:00', '2024-02-29T23:59:59.123'],
  },
  { from: 'zod 4.6.7 lowercase', pattern: '^[^A-Z]*$', samples: ['abc é'] },
  { from: 'zod 4.6.7 uppercase', pattern: '^[^a-z]*$', samples: ['ABC'] },
  {
    from: 'zod 4.6.7 regexes.browserEmail',
    pattern:
      "^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$",
    samples: ['a.b@c-d.org'],
  },
  {
    from: 'zod 4.6.7 regexes.rfc5322Email',
    pattern: String.raw`^(([^<>()\[\]\\.,;:\s@"]+(\.[^<>()\[\]\\.,;:\s@"]+)*)|(".+"))@((\[[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}])|(([a-zA-Z\-0-9]+\.)+[a-zA-Z]{2,}))$`,
    samples: ['"a b"@[1.2.3.4]', 'a.b@c.de'],
  },
  {
    from: 'zod 4.6.7 regexes.unicodeEmail',
    pattern: String.raw`^[^\s@"]{1,64}@[^\s@]{1,255}$`,
    samples: ['用户@例子.公司'],
  },
  {
    from: 'zod 4.6.7 regexes.domain',
    pattern: String.raw`^(?=.{1,253}$)([a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z]{2,63}$`,
    samples: [
      'example.com',
      'a.b.c.example.org',
      'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.com',
    ],
  },
  {
    from: 'zod 4.6.7 regexes.iban',
    pattern: String.raw`^[A-Z]{2}(?!00|01|99)\d{2}[A-Z0-9]{11,30}$`,
    samples: ['DE89370400440532013000', 'DE00370400440532013000', 'GB29NWBK60161331926819'],
  },
  {
    from: 'zod 4.6.7 regexes.creditCard',
    pattern: String.raw`^\d(?:[ -]?\d){11,18}$`,
    samples: ['4111 1111 1111 1111'],
  },
  {
    from: 'zod 4.6.7 regexes.currencyCode',
    pattern:
      '^(?:AED|AFN|ALL|AMD|AOA|ARS|AUD|AWG|AZN|BAM|BBD|BDT|BHD|BIF|BMD|BND|BOB|BOV|BRL|BSD|BTN|BWP|BYN|BZD|CAD|CDF|CHE|CHF|CHW|CLF|CLP|CNY|COP|COU|CRC|CUP|CVE|CZK|DJF|DKK|DOP|DZD|EGP|ERN|ETB|EUR|FJD|FKP|GBP|GEL|GHS|GIP|GMD|GNF|GTQ|GYD|HKD|HNL|HTG|HUF|IDR|ILS|INR|IQD|IRR|ISK|JMD|JOD|JPY|KES|KGS|KHR|KMF|KPW|KRW|KWD|KYD|KZT|LAK|LBP|LKR|LRD|LSL|LYD|MAD|MDL|MGA|MKD|MMK|MNT|MOP|MRU|MUR|MVR|MWK|MXN|MXV|MYR|MZN|NAD|NGN|NIO|NOK|NPR|NZD|OMR|PAB|PEN|PGK|PHP|PKR|PLN|PYG|QAR|RON|RSD|RUB|RWF|SAR|SBD|SCR|SDG|SEK|SGD|SHP|SLE|SOS|SRD|SSP|STN|SVC|SYP|SZL|THB|TJS|TMT|TND|TOP|TRY|TTD|TWD|TZS|UAH|UGX|USD|USN|UYI|UYU|UYW|UZS|VED|VES|VND|VUV|WST|XAD|XAF|XAG|XAU|XBA|XBB|XBC|XBD|XCD|XCG|XDR|XOF|XPD|XPF|XPT|XSU|XTS|XUA|XXX|YER|ZAR|ZMW|ZWG)$',
    samples: ['EUR', 'XYZ'],
  },
  { from: 'zod 4.6.7 regexes.bigint', pattern: String.raw`^-?\d+n?$`, samples: ['-12n'] },
  { from: 'zod 4.6.7 regexes.number', pattern: String.raw`^-?\d+(?:\.\d+)?$`, samples: ['-1.5'] },
  {
    from: 'zod 4.6.7 regexes.extendedDuration',
    pattern: String.raw`^[-+]?P(?!$)(?:(?:[-+]?\d+Y)|(?:[-+]?\d+[.,]\d+Y$))?(?:(?:[-+]?\d+M)|(?:[-+]?\d+[.,]\d+M$))?(?:(?:[-+]?\d+W)|(?:[-+]?\d+[.,]\d+W$))?(?:(?:[-+]?\d+D)|(?:[-+]?\d+[.,]\d+D$))?(?:T(?=[\d+-])(?:(?:[-+]?\d+H)|(?:[-+]?\d+[.,]\d+H$))?(?:(?:[-+]?\d+M)|(?:[-+]?\d+[.,]\d+M$))?(?:[-+]?\d+(?:[.,]\d+)?S)?)??$`,
    samples: ['P1Y', '-P1.5D'],
  },
  {
    from: 'zod 4.6.7 regexes.sha256_hex',
    pattern: '^[0-9a-fA-F]{64}$',
    samples: ['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'],
  },
  {
    from: 'zod 4.6.7 regexes.sha256_base64',
    pattern: '^[A-Za-z0-9+/]{43}=$',
    samples: ['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa='],
  },
  {
    from: 'zod 4.6.7 regexes.sha512_base64url',
    pattern: '^[A-Za-z0-9_-]{86}$',
    samples: ['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'],
  },
  {
    from: 'zod 4.6.7 templateLiteral',
    pattern: String.raw`^at-(?=.{1,253}\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\.?:-?\d+(?:\.\d+)?$`,
    samples: ['at-example.com:80', 'at-x:1.5'],
  },
  {
    from: 'zod 4.0 email',
    pattern: String.raw`^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$`,
    samples: ['ann.lee@example.com', "o'neil+x@a-b.example.org", '.a@b.co', 'a..b@c.de'],
  },
  {
    from: 'zod-to-json-schema 3 emoji',
    pattern: String.raw`^(\p{Extended_Pictographic}|\p{Emoji_Component})+$`,
    samples: ['😀', '👩‍👩‍👧', '🇫🇷', '5️⃣', '12', 'a😀'],
  },
  {
    from: 'zod-to-json-schema 3 jwt',
    pattern: String.raw`^[A-Za-z0-9-_]+\.[A-Za-z0-9-_]+\.[A-Za-z0-9-_]*$`,
    samples: ['eyJh.eyJz.SflK', 'a.b.'],
  },
  {
    from: 'zod-to-json-schema 3 base64url',
    pattern: '^([0-9a-zA-Z-_]{4})*(([0-9a-zA-Z-_]{2}(==)?)|([0-9a-zA-Z-_]{3}(=)?))?$',
    samples: ['', 'aGVsbG8', 'aGVs'],
  },
]
