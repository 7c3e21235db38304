// What an export carries beside its data: the verifier as one plain file, and what the format is.

import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'

/** verify.mjs: verifier.ts without its types, line for line, and a call of its main. */
export const standaloneVerifier = (): string => {
  const source = readFileSync(new URL('verifier.ts', import.meta.url), 'utf8')
  return `${stripTypeScriptTypes(source)}\nprocess.exitCode = main(process.argv.slice(2), import.meta.dirname)\n`
}

export const exportReadme = (): string => `# Audit export of an Andon mesh

    node verify.mjs --key <fingerprint> --anchors <folder>

needs Node 20.11 or later, no network and nothing else of Andon. It names every record, field, seal or file that is not what was
sealed, and ends with exit code 1 when there is one. \`--key\`: the fingerprint of the plant's sealing key, which you have from elsewhere
than this folder. \`--anchors\`: the folder where seals were kept outside of the cluster; only it shows a log that was cut off at its end
together with its seals, or seals made with a stolen key.

| file | a line is |
|---|---|
| \`records/<topic>-<partition>.jsonl\` | one record, in offset order; key, value and header values as base64 of the bytes on the log |
| \`digests/<topic>-<partition>.jsonl\` | the SHA-256 digests (base64) of one record's fields: topic, partition, offset, timestampMs, key, value, headers |
| \`seals/<topic>-<partition>.jsonl\` | one seal, the offset at which it lies, and its Ed25519 signature (base64) |
| \`keys.jsonl\` | a public key (SPKI, base64) and who introduced it, or the end of trust in one |
| \`tokens/<digest of seal>.tsr\` | an RFC 3161 answer about that seal |
| \`manifest.json\` | offsets of each partition, and the SHA-256 of every file |

Every line is JSON with sorted keys and no spaces (RFC 8785). A field is digested with its length (int32, big-endian, -1: null) before its
bytes: text as UTF-8, numbers as decimal text, headers as name and value in turn, sorted by name. A leaf is SHA-256 over 0x00 and the seven
digests. A node is SHA-256 over 0x01 and its two children; a last one without a sibling moves up as it is. A signature is over the
canonical JSON of \`seal\`, a seal's digest is its SHA-256, and \`previous\` is the digest of the seal before. A key's fingerprint is the
SHA-256 of its SPKI bytes; a statement about a key is signed without its own field \`signature\`.

Who issued a time-stamp, and when:

    openssl ts -verify -in tokens/<digest>.tsr -digest <digest> -CAfile <authority.pem>
    openssl ts -reply -in tokens/<digest>.tsr -text
`
