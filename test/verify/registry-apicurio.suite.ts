// Run by `npm run verify -- registry`: the registry conformance suite against Apicurio, with the details in which it differs from
// Confluent's named. None of them is something that Andon relies on.

import { registryConformance } from '../../packages/platform/test/registry-conformance.ts'
import { APICURIO_VERSION, startApicurio } from './apicurio.ts'

registryConformance(
  `Apicurio ${APICURIO_VERSION}`,
  async () => {
    const apicurio = await startApicurio()
    return { url: apicurio.url, close: () => apicurio.stop() }
  },
  {
    differs: {
      modes: 'has no /mode',
      verbose: 'gives no messages',
      spacing: 'tells schemas apart by their text; Andon always registers the same text',
      'level-none': 'a level NONE of a subject does not go before the global level; Andon sets no level of its own for a subject',
      'own-level': 'answers 200 with NONE for a subject without a level of its own',
      'version-words': 'answers 404 instead of 422 for a version that is no number',
      'delete-codes': 'answers 409 instead of 404 when a subject was not deleted softly first',
    },
  },
)
